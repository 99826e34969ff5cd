-- Indexes that no statement used, with an entry for each letter.
DROP INDEX guestlist_attempts_by_message;
DROP INDEX guestlist_attempts_by_queue_id;
