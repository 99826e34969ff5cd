-- The outbox fills and empties all the time. Vacuum would give its empty end back to the system, and
-- the next letters take it again: while it cuts, it keeps everybody out, over and over, and is not done
-- in time for its next round. An outbox that keeps its pages also never looks so small that a statement
-- is planned to read all of it.
ALTER TABLE guestlist_outbox SET (vacuum_truncate = false);
