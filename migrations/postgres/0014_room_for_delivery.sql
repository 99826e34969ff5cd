-- An invitation is written again when its letter is sent. Half of each page is free for it, so that the update stays
-- heap-only. Of rows that filled 80 percent, every third went to another page, and all its index entries were written
-- again; table and indexes together take as much space either way.
ALTER TABLE guestlist_invitations SET (fillfactor = 50);
