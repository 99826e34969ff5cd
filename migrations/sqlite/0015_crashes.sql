-- The number of workers that ended while they may have carried out this message: it is counted only after a lease of
-- the message has expired, and forgotten when its task ends. None for every other message, so that it takes no space.
ALTER TABLE guestlist_outbox ADD COLUMN crashes integer;
