-- The time at which the newest letter came back after a mail server had accepted it.
ALTER TABLE guestlist_invitations ADD COLUMN bounced_at text;
