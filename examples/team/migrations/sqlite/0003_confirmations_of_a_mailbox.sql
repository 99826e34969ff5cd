-- What counts as one mailbox, however its address is written.
ALTER TABLE team_confirmations ADD COLUMN mailbox TEXT NOT NULL DEFAULT '';
