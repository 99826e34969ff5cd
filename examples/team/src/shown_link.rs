//! Invitation links that were shown to a member. Such a link does not prove the invited address, because its user
//! may not have the letter. Guestlist cannot know how a link reached its user.

use guestlist::{InvitationId, Lend};

use crate::database::on_driver;

/// Records that the link of an invitation was shown.
pub(crate) async fn remember(
    connection: impl Lend<'_>,
    invitation: InvitationId,
) -> Result<(), guestlist::Error> {
    const INSERT: &str =
        "INSERT INTO team_shown_links (invitation_id) VALUES ($1) ON CONFLICT DO NOTHING";
    on_driver!(connection, driver => {
        let query = sqlx::query(INSERT).bind(invitation.to_string());
        query.execute(driver).await.map(drop)?
    });
    Ok(())
}

/// Returns true if the link of an invitation was ever shown.
pub(crate) async fn was_shown(
    connection: impl Lend<'_>,
    invitation: InvitationId,
) -> Result<bool, guestlist::Error> {
    const FIND: &str = "SELECT invitation_id FROM team_shown_links WHERE invitation_id = $1";
    let found: Option<(String,)> = on_driver!(connection, driver => {
        let query = sqlx::query_as(FIND).bind(invitation.to_string());
        query.fetch_optional(driver).await?
    });
    Ok(found.is_some())
}
