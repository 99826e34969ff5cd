-- Refusals that later attempts have to confirm before the letter is given up.
ALTER TABLE guestlist_outbox ADD COLUMN refused_at timestamptz;
ALTER TABLE guestlist_outbox ADD COLUMN refusals bigint NOT NULL DEFAULT 0;
