-- Who can sign in. `email_key` is the address as Guestlist compares it.
CREATE TABLE team_accounts (
    id TEXT PRIMARY KEY,
    email TEXT NOT NULL,
    email_key TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    password TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL
);

-- Addresses that were written to and did not answer yet, by the hash of what the letter's link holds.
CREATE TABLE team_confirmations (
    token_hash TEXT PRIMARY KEY,
    email TEXT NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL
);

-- What people wrote. It stays when its author leaves.
CREATE TABLE team_notes (
    id TEXT PRIMARY KEY,
    organization_id TEXT NOT NULL,
    author_id TEXT NOT NULL REFERENCES team_accounts (id),
    text TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL
);

CREATE INDEX team_notes_newest ON team_notes (organization_id, created_at DESC);

-- Sessions, where there is no Redis to keep them.
CREATE TABLE team_sessions (
    id TEXT PRIMARY KEY,
    record TEXT NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL
);

CREATE INDEX team_sessions_oldest ON team_sessions (expires_at);
