-- The time of the lease, from which a letter has its Date. None if a worker of an earlier release holds the lease.
ALTER TABLE guestlist_outbox ADD COLUMN leased_at timestamptz;
-- The Date of a letter whose DATA began, or may have begun, so that later attempts send the same bytes.
ALTER TABLE guestlist_outbox ADD COLUMN letter_date timestamptz;
-- What was tried or is being tried was dated by its creation.
UPDATE guestlist_outbox SET letter_date = created_at WHERE attempts > 0 OR leased_until IS NOT NULL;
