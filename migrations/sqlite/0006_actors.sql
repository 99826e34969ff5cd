-- The kind of actor, the reason it gave and the origin of its request. Rows of the release before have no
-- kind: their actor is a member.
ALTER TABLE guestlist_events ADD COLUMN actor_kind text CHECK (actor_kind IN ('member', 'host', 'operator'));
ALTER TABLE guestlist_events ADD COLUMN reason text;
ALTER TABLE guestlist_events ADD COLUMN channel text;
ALTER TABLE guestlist_events ADD COLUMN request_id text;
ALTER TABLE guestlist_events ADD COLUMN client text;

-- What kind of actor granted_by names: the user id of a member, the name of an operator, or 'host'.
ALTER TABLE guestlist_invitations ADD COLUMN granted_by_kind text NOT NULL DEFAULT 'member'
    CHECK (granted_by_kind IN ('member', 'host', 'operator'));
