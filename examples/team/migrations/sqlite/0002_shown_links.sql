-- Invitations whose link was shown to a member. Whoever has such a link need not have the letter, so it proves no
-- address.
CREATE TABLE team_shown_links (
    invitation_id TEXT PRIMARY KEY
);
