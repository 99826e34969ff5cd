CREATE TABLE guestlist_organizations (
    id BLOB PRIMARY KEY NOT NULL,
    name TEXT NOT NULL,
    created_at TEXT NOT NULL,
    -- Written by every statement that takes the organization's lock.
    updated_at TEXT NOT NULL
);

CREATE TABLE guestlist_memberships (
    organization_id BLOB NOT NULL REFERENCES guestlist_organizations (id) ON DELETE CASCADE,
    user_id TEXT NOT NULL,
    email TEXT NOT NULL,
    email_key TEXT NOT NULL,
    name TEXT,
    locale TEXT NOT NULL,
    role TEXT NOT NULL,
    joined_at TEXT NOT NULL,
    PRIMARY KEY (organization_id, user_id)
);
CREATE INDEX guestlist_memberships_by_user ON guestlist_memberships (user_id, organization_id);
CREATE INDEX guestlist_memberships_by_email ON guestlist_memberships (organization_id, email_key);
CREATE INDEX guestlist_memberships_by_time ON guestlist_memberships (organization_id, joined_at, user_id);
CREATE INDEX guestlist_memberships_by_role ON guestlist_memberships (organization_id, role);

CREATE TABLE guestlist_invitations (
    id BLOB PRIMARY KEY NOT NULL,
    organization_id BLOB NOT NULL REFERENCES guestlist_organizations (id) ON DELETE CASCADE,
    email TEXT NOT NULL,
    email_key TEXT NOT NULL,
    role TEXT NOT NULL,
    locale TEXT NOT NULL,
    message TEXT,
    status TEXT NOT NULL CHECK (status IN ('pending', 'accepted', 'declined', 'revoked', 'expired')),
    delivery TEXT NOT NULL CHECK (delivery IN ('queued', 'sent', 'deferred', 'failed', 'suppressed')),
    delivery_detail TEXT,
    -- Half of what a link is made of; worth nothing without the key.
    nonce BLOB NOT NULL,
    -- The nonces of links that a newer one replaced, 16 bytes each, newest last.
    replaced_nonces BLOB NOT NULL,
    -- Whose right the invitation rests on: who invited, or who resent it last.
    granted_by TEXT NOT NULL,
    accepted_by TEXT,
    -- How many letters were promised; an outbox message speaks of one of them.
    letters INTEGER NOT NULL,
    last_letter_at TEXT NOT NULL,
    reminded_at TEXT,
    created_at TEXT NOT NULL,
    expires_at TEXT NOT NULL,
    closed_at TEXT
);
CREATE UNIQUE INDEX guestlist_invitations_one_pending
    ON guestlist_invitations (organization_id, email_key) WHERE status = 'pending';
CREATE INDEX guestlist_invitations_by_organization ON guestlist_invitations (organization_id, id);
CREATE INDEX guestlist_invitations_by_status ON guestlist_invitations (organization_id, status, id);
CREATE INDEX guestlist_invitations_due
    ON guestlist_invitations (expires_at) WHERE status = 'pending';
CREATE INDEX guestlist_invitations_to_remind
    ON guestlist_invitations (expires_at) WHERE status = 'pending' AND reminded_at IS NULL;
CREATE INDEX guestlist_invitations_closed
    ON guestlist_invitations (closed_at) WHERE closed_at IS NOT NULL;

-- No foreign key: the history outlives what it speaks of.
CREATE TABLE guestlist_events (
    id BLOB PRIMARY KEY NOT NULL,
    organization_id BLOB NOT NULL,
    kind TEXT NOT NULL,
    actor TEXT,
    subject TEXT NOT NULL,
    before TEXT,
    after TEXT,
    at TEXT NOT NULL
);
CREATE INDEX guestlist_events_by_organization ON guestlist_events (organization_id, id);
CREATE INDEX guestlist_events_by_time ON guestlist_events (at);

-- Small rows that live for seconds.
CREATE TABLE guestlist_outbox (
    id BLOB PRIMARY KEY NOT NULL,
    kind TEXT NOT NULL,
    ids TEXT NOT NULL,
    organization_id BLOB NOT NULL,
    priority INTEGER NOT NULL,
    run_at TEXT NOT NULL,
    created_at TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    -- Those of them that failed by themselves, and not for the recipient's sake.
    faults INTEGER NOT NULL DEFAULT 0,
    generation INTEGER NOT NULL DEFAULT 0,
    leased_until TEXT,
    dead_at TEXT,
    last_error TEXT
) WITHOUT ROWID;
CREATE INDEX guestlist_outbox_ready ON guestlist_outbox (priority, run_at) WHERE dead_at IS NULL;
CREATE INDEX guestlist_outbox_dead ON guestlist_outbox (id) WHERE dead_at IS NOT NULL;

CREATE TABLE guestlist_sessions (
    organization_id BLOB NOT NULL,
    user_id TEXT NOT NULL,
    session TEXT NOT NULL,
    recorded_at TEXT NOT NULL,
    -- Set when the membership ended; from then on the purge owns the row.
    ended_at TEXT,
    PRIMARY KEY (organization_id, user_id, session)
);
CREATE INDEX guestlist_sessions_by_session ON guestlist_sessions (session);
CREATE INDEX guestlist_sessions_ended
    ON guestlist_sessions (organization_id, user_id, session) WHERE ended_at IS NOT NULL;

-- One row a promised letter, for the limits; kept as long as the longest window.
CREATE TABLE guestlist_letters (
    id BLOB PRIMARY KEY NOT NULL,
    organization_id BLOB NOT NULL,
    actor TEXT NOT NULL,
    recipient TEXT NOT NULL,
    at TEXT NOT NULL
);
CREATE INDEX guestlist_letters_by_actor ON guestlist_letters (actor, at);
CREATE INDEX guestlist_letters_by_organization ON guestlist_letters (organization_id, at);
CREATE INDEX guestlist_letters_by_recipient ON guestlist_letters (recipient, at);
CREATE INDEX guestlist_letters_by_time ON guestlist_letters (at);

-- Addresses whose mail server said for good that they do not exist.
CREATE TABLE guestlist_suppressions (
    email_key TEXT PRIMARY KEY NOT NULL,
    reason TEXT NOT NULL,
    at TEXT NOT NULL
);
