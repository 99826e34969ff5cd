-- One row for each try of a letter. No foreign keys and no check of words: a row outlives its message and its
-- invitation, is deleted only by its age, and may hold words of a later release. The id (UUIDv7) is made from
-- "at", so age is a range of the primary key.
CREATE TABLE guestlist_attempts (
    id BLOB PRIMARY KEY NOT NULL,
    message_id BLOB NOT NULL,
    -- None where the letter is about no invitation.
    invitation_id BLOB,
    organization_id BLOB NOT NULL,
    kind TEXT NOT NULL,
    -- The number of the invitation's letter; none for a notice.
    letter INTEGER,
    attempt INTEGER NOT NULL,
    at TEXT NOT NULL,
    worker TEXT NOT NULL,
    verdict TEXT NOT NULL,
    stage TEXT,
    code INTEGER,
    enhanced TEXT,
    -- At most 200 characters, addresses in it are masked.
    reply TEXT,
    -- The id that the mail server gave to the letter.
    queue_id TEXT,
    duration_ms INTEGER NOT NULL,
    -- The domain of the recipient's address, in lower-case ASCII.
    domain TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX guestlist_attempts_by_invitation
    ON guestlist_attempts (invitation_id, id) WHERE invitation_id IS NOT NULL;
CREATE INDEX guestlist_attempts_by_message ON guestlist_attempts (message_id);
CREATE INDEX guestlist_attempts_by_queue_id ON guestlist_attempts (queue_id) WHERE queue_id IS NOT NULL;
CREATE INDEX guestlist_attempts_not_accepted
    ON guestlist_attempts (domain, at) WHERE verdict <> 'accepted';
