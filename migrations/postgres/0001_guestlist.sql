CREATE TABLE guestlist_organizations (
    id uuid PRIMARY KEY,
    name text NOT NULL,
    created_at timestamptz NOT NULL,
    -- Written by every statement that takes the organization's lock.
    updated_at timestamptz NOT NULL
) WITH (fillfactor = 80);

CREATE TABLE guestlist_memberships (
    organization_id uuid NOT NULL REFERENCES guestlist_organizations (id) ON DELETE CASCADE,
    user_id text NOT NULL,
    email text NOT NULL,
    email_key text NOT NULL,
    name text,
    locale text NOT NULL,
    role text NOT NULL,
    joined_at timestamptz NOT NULL,
    PRIMARY KEY (organization_id, user_id)
);
CREATE INDEX guestlist_memberships_by_user ON guestlist_memberships (user_id, organization_id);
CREATE INDEX guestlist_memberships_by_email ON guestlist_memberships (organization_id, email_key);
CREATE INDEX guestlist_memberships_by_time ON guestlist_memberships (organization_id, joined_at, user_id);
CREATE INDEX guestlist_memberships_by_role ON guestlist_memberships (organization_id, role);

CREATE TABLE guestlist_invitations (
    id uuid PRIMARY KEY,
    organization_id uuid NOT NULL REFERENCES guestlist_organizations (id) ON DELETE CASCADE,
    email text NOT NULL,
    email_key text NOT NULL,
    role text NOT NULL,
    locale text NOT NULL,
    message text,
    status text NOT NULL CHECK (status IN ('pending', 'accepted', 'declined', 'revoked', 'expired')),
    delivery text NOT NULL CHECK (delivery IN ('queued', 'sent', 'deferred', 'failed', 'suppressed')),
    delivery_detail text,
    -- Half of what a link is made of; worth nothing without the key.
    nonce bytea NOT NULL,
    -- The nonces of links that a newer one replaced, 16 bytes each, newest last.
    replaced_nonces bytea NOT NULL,
    -- Whose right the invitation rests on: who invited, or who resent it last.
    granted_by text NOT NULL,
    accepted_by text,
    -- How many letters were promised; an outbox message speaks of one of them.
    letters bigint NOT NULL,
    last_letter_at timestamptz NOT NULL,
    reminded_at timestamptz,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    closed_at timestamptz
) WITH (fillfactor = 80);
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
    id uuid PRIMARY KEY,
    organization_id uuid NOT NULL,
    kind text NOT NULL,
    actor text,
    subject text NOT NULL,
    before jsonb,
    after jsonb,
    at timestamptz NOT NULL
);
CREATE INDEX guestlist_events_by_organization ON guestlist_events (organization_id, id);
CREATE INDEX guestlist_events_by_time ON guestlist_events (at);

-- Small rows that live for seconds. Leasing writes no indexed column, so it stays a heap-only
-- update on the page's free space, and vacuum comes after a fixed number of rows.
CREATE TABLE guestlist_outbox (
    id uuid PRIMARY KEY,
    kind text NOT NULL,
    ids jsonb NOT NULL,
    organization_id uuid NOT NULL,
    priority smallint NOT NULL,
    run_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL,
    attempts bigint NOT NULL DEFAULT 0,
    -- Those of them that failed by themselves, and not for the recipient's sake.
    faults bigint NOT NULL DEFAULT 0,
    generation bigint NOT NULL DEFAULT 0,
    leased_until timestamptz,
    dead_at timestamptz,
    last_error text
) WITH (
    fillfactor = 70,
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 10000,
    autovacuum_analyze_scale_factor = 0,
    autovacuum_analyze_threshold = 50000,
    autovacuum_vacuum_cost_delay = 0
);
CREATE INDEX guestlist_outbox_ready ON guestlist_outbox (priority, run_at) WHERE dead_at IS NULL;
CREATE INDEX guestlist_outbox_dead ON guestlist_outbox (id) WHERE dead_at IS NOT NULL;

CREATE TABLE guestlist_sessions (
    organization_id uuid NOT NULL,
    user_id text NOT NULL,
    session text NOT NULL,
    recorded_at timestamptz NOT NULL,
    -- Set when the membership ended; from then on the purge owns the row.
    ended_at timestamptz,
    PRIMARY KEY (organization_id, user_id, session)
);
CREATE INDEX guestlist_sessions_by_session ON guestlist_sessions (session);
CREATE INDEX guestlist_sessions_ended
    ON guestlist_sessions (organization_id, user_id, session) WHERE ended_at IS NOT NULL;

-- One row a promised letter, for the limits; kept as long as the longest window.
CREATE TABLE guestlist_letters (
    id uuid PRIMARY KEY,
    organization_id uuid NOT NULL,
    actor text NOT NULL,
    recipient text NOT NULL,
    at timestamptz NOT NULL
);
CREATE INDEX guestlist_letters_by_actor ON guestlist_letters (actor, at);
CREATE INDEX guestlist_letters_by_organization ON guestlist_letters (organization_id, at);
CREATE INDEX guestlist_letters_by_recipient ON guestlist_letters (recipient, at);
CREATE INDEX guestlist_letters_by_time ON guestlist_letters (at);

-- Addresses whose mail server said for good that they do not exist.
CREATE TABLE guestlist_suppressions (
    email_key text PRIMARY KEY,
    reason text NOT NULL,
    at timestamptz NOT NULL
);
