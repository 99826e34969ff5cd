-- The trace of the request that promised the message, as a W3C traceparent.
ALTER TABLE guestlist_outbox ADD COLUMN trace_parent text;
