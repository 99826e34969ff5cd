-- Says that no letter leaves for now, because the mail server fails or refuses this installation. At most one row.
CREATE TABLE guestlist_mail_pause (
    id bigint PRIMARY KEY CHECK (id = 1),
    since timestamptz NOT NULL,
    -- The mail server's words.
    reason text NOT NULL,
    worker text NOT NULL,
    -- The time of the worker's next try.
    until timestamptz NOT NULL
);

-- Suppressions expire.
CREATE INDEX guestlist_suppressions_by_time ON guestlist_suppressions (at);
