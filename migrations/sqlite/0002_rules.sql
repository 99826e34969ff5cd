-- Suspended members keep their row and have no access.
ALTER TABLE guestlist_memberships ADD COLUMN suspended_at TEXT;

-- How many seats the host gave the organization; none is the configured default.
ALTER TABLE guestlist_organizations ADD COLUMN seats INTEGER;

-- The role that the link was made for, where the invitation's is another by now, and the seal
-- that proves the change to have come through the library.
ALTER TABLE guestlist_invitations ADD COLUMN link_role TEXT;
ALTER TABLE guestlist_invitations ADD COLUMN role_seal BLOB;

-- The links that a newer one replaced, newest last: what each was made of, and for which role.
ALTER TABLE guestlist_invitations ADD COLUMN replaced_links TEXT NOT NULL DEFAULT '[]';
WITH RECURSIVE place (number) AS (
    SELECT 0 UNION ALL SELECT number + 1 FROM place WHERE number < 7
)
UPDATE guestlist_invitations SET replaced_links = (
    SELECT json_group_array(
        json_object('nonce', lower(hex(substr(replaced_nonces, number * 16 + 1, 16))), 'role', role))
    FROM (SELECT number FROM place WHERE number < length(replaced_nonces) / 16 ORDER BY number))
WHERE length(replaced_nonces) > 0;
ALTER TABLE guestlist_invitations DROP COLUMN replaced_nonces;

-- The address first, so that one index finds what is pending for an address everywhere.
DROP INDEX guestlist_invitations_one_pending;
CREATE UNIQUE INDEX guestlist_invitations_one_pending
    ON guestlist_invitations (email_key, organization_id) WHERE status = 'pending';

-- Tells one installation's queue from another's in the same Redis.
CREATE TABLE guestlist_installation (id BLOB PRIMARY KEY NOT NULL);
INSERT INTO guestlist_installation (id) VALUES (randomblob(16));
