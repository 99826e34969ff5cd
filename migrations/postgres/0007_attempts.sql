-- One row for each try of a letter. No foreign keys and no check of words: a row outlives its message and its
-- invitation, is deleted only by its age, and may hold words of a later release. The id (UUIDv7) is made from
-- "at", so age is a range of the primary key.
CREATE TABLE guestlist_attempts (
    id uuid PRIMARY KEY,
    message_id uuid NOT NULL,
    -- None where the letter is about no invitation.
    invitation_id uuid,
    organization_id uuid NOT NULL,
    kind text NOT NULL,
    -- The number of the invitation's letter; none for a notice.
    letter bigint,
    attempt bigint NOT NULL,
    at timestamptz NOT NULL,
    worker text NOT NULL,
    verdict text NOT NULL,
    stage text,
    code bigint,
    enhanced text,
    -- At most 200 characters, addresses in it are masked.
    reply text,
    -- The id that the mail server gave to the letter.
    queue_id text,
    duration_ms bigint NOT NULL,
    -- The domain of the recipient's address, in lower-case ASCII.
    domain text NOT NULL
);
CREATE INDEX guestlist_attempts_by_invitation
    ON guestlist_attempts (invitation_id, id) WHERE invitation_id IS NOT NULL;
CREATE INDEX guestlist_attempts_by_message ON guestlist_attempts (message_id);
CREATE INDEX guestlist_attempts_by_queue_id ON guestlist_attempts (queue_id) WHERE queue_id IS NOT NULL;
CREATE INDEX guestlist_attempts_not_accepted
    ON guestlist_attempts (domain, at) WHERE verdict <> 'accepted';
