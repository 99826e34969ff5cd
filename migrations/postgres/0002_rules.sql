-- Suspended members keep their row and have no access.
ALTER TABLE guestlist_memberships ADD COLUMN suspended_at timestamptz;

-- How many seats the host gave the organization; none is the configured default.
ALTER TABLE guestlist_organizations ADD COLUMN seats bigint;

-- The role that the link was made for, where the invitation's is another by now, and the seal
-- that proves the change to have come through the library.
ALTER TABLE guestlist_invitations ADD COLUMN link_role text;
ALTER TABLE guestlist_invitations ADD COLUMN role_seal bytea;

-- The links that a newer one replaced, newest last: what each was made of, and for which role.
ALTER TABLE guestlist_invitations ADD COLUMN replaced_links jsonb NOT NULL DEFAULT '[]';
UPDATE guestlist_invitations SET replaced_links = (
    SELECT jsonb_agg(
        jsonb_build_object('nonce', encode(substr(replaced_nonces, place * 16 + 1, 16), 'hex'), 'role', role)
        ORDER BY place)
    FROM generate_series(0, octet_length(replaced_nonces) / 16 - 1) AS place)
WHERE octet_length(replaced_nonces) > 0;
ALTER TABLE guestlist_invitations DROP COLUMN replaced_nonces;

-- The address first, so that one index finds what is pending for an address everywhere.
DROP INDEX guestlist_invitations_one_pending;
CREATE UNIQUE INDEX guestlist_invitations_one_pending
    ON guestlist_invitations (email_key, organization_id) WHERE status = 'pending';

-- Tells one installation's queue from another's in the same Redis.
CREATE TABLE guestlist_installation (id uuid PRIMARY KEY);
INSERT INTO guestlist_installation (id) VALUES (gen_random_uuid());
