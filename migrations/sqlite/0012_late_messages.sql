-- The time at which a message was due, if it was postponed since then for another reason than its recipient's mail
-- server. So its age is not that of its last postponement. The index has a row only for such messages.
ALTER TABLE guestlist_outbox ADD COLUMN late_since text;
CREATE INDEX guestlist_outbox_late ON guestlist_outbox (priority, late_since)
    WHERE dead_at IS NULL AND late_since IS NOT NULL;
