-- Leasing walks from organization to organization, so that none waits for all of another's letters.
CREATE INDEX guestlist_outbox_by_organization
    ON guestlist_outbox (priority, organization_id, run_at) WHERE dead_at IS NULL;
