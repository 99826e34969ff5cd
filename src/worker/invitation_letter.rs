//! The data for invitation letters, read for many at once by the worker.

use chrono::{DateTime, Utc};
use serde_json::{Value as Json, json};
use sqlx::FromRow;

use crate::connection::{Connection, Dialect, Lend, sql};
use crate::error::Error;
use crate::guestlist::Guestlist;
use crate::id::InvitationId;
use crate::invitation::{COLUMNS, Invitation};
use crate::membership::{self, JoinedMembership, Membership};
use crate::organization::{self, JoinedOrganization, Organization};
use crate::suppression;

/// The current data for a letter of one invitation.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LetterFacts {
    /// The invitation.
    pub invitation: Invitation,
    /// The organization, unless it was deleted.
    pub organization: Option<Organization>,
    /// The member that granted it, unless they have left or are suspended. `None` too if the host
    /// or an operator granted it.
    pub inviter: Option<Membership>,
    /// `true` if the grant still holds, as [`grant_holds`] returns it.
    pub grant_holds: bool,
    /// The reason why the address is suppressed, if it is. For operators only: an inviter reads
    /// [`DeliveryReport::UNREACHABLE`](crate::worker::DeliveryReport::UNREACHABLE).
    pub suppression: Option<String>,
}

/// An invitation with its organization, inviter and suppression, where they exist.
#[derive(FromRow)]
struct Row {
    #[sqlx(flatten)]
    invitation: Invitation,
    #[sqlx(flatten)]
    organization: JoinedOrganization,
    #[sqlx(flatten)]
    inviter: JoinedMembership,
    suppression: Option<String>,
}

/// Returns `true` if the grant of an invitation still holds: the host or an operator made it, or
/// the inviter is a member that is not suspended and whose role may grant the invitation's role.
///
/// ```
/// # use guestlist::{Connection, Error, Guestlist, Invitation, worker};
/// # async fn example(guestlist: Guestlist, connection: &mut Connection<'_>, invitation: Invitation) -> Result<(), Error> {
/// if !worker::grant_holds(&guestlist, &mut *connection, &invitation).await? {
///     // The inviter lost the right meanwhile: no letter leaves.
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Database`].
pub async fn grant_holds(
    guestlist: &Guestlist,
    connection: impl Lend<'_>,
    invitation: &Invitation,
) -> Result<bool, Error> {
    let grantor = guestlist
        .grantor(&mut connection.lend(), invitation)
        .await?;
    Ok(grantor.is_some())
}

/// Reads the data of several letters in one statement. An invitation that was deleted is left out.
///
/// ```
/// # use guestlist::{Connection, Error, Guestlist, InvitationId, worker};
/// # async fn example(guestlist: Guestlist, connection: &mut Connection<'_>, id: InvitationId) -> Result<(), Error> {
/// for letter in worker::letter_facts(&guestlist, &mut *connection, &[id]).await? {
///     println!("a letter to {}", letter.invitation.email);
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Database`].
pub async fn letter_facts(
    guestlist: &Guestlist,
    connection: impl Lend<'_>,
    ids: &[InvitationId],
) -> Result<Vec<LetterFacts>, Error> {
    let now = guestlist.now();
    let rows = rows(&mut connection.lend(), now, ids).await?;
    let model = guestlist.role_model();
    let facts = rows.into_iter().map(|row| {
        let invitation = row.invitation.seen_at(now);
        let inviter = match invitation.granted_by.user_id() {
            Some(user) => row.inviter.of(invitation.organization, user)?,
            None => None,
        };
        let inviter = inviter.filter(|inviter| !inviter.is_suspended());
        Ok(LetterFacts {
            organization: row.organization.of(invitation.organization),
            grant_holds: match &inviter {
                Some(inviter) => model.may_invite(&inviter.role, &invitation.role),
                None => invitation.granted_by.user_id().is_none(),
            },
            inviter,
            suppression: row.suppression,
            invitation,
        })
    });
    facts.collect()
}

async fn rows(
    connection: &mut Connection<'_>,
    now: DateTime<Utc>,
    ids: &[InvitationId],
) -> Result<Vec<Row>, Error> {
    macro_rules! facts {
        ($which:literal) => {
            const_format::concatcp!(
                "SELECT invitation.*, suppression.reason AS suppression, ",
                organization::JOINED_COLUMNS,
                ", ",
                membership::JOINED_COLUMNS,
                " FROM (SELECT ",
                COLUMNS,
                ", email_key FROM guestlist_invitations WHERE id ",
                $which,
                ") AS invitation
                 LEFT JOIN guestlist_organizations AS organization
                     ON organization.id = invitation.organization_id
                 LEFT JOIN guestlist_memberships AS member
                     ON member.organization_id = invitation.organization_id
                     AND member.user_id = invitation.granted_by
                 LEFT JOIN guestlist_suppressions AS suppression
                     ON suppression.email_key = invitation.email_key AND suppression.at > $2"
            )
        };
    }
    let text = match connection.dialect() {
        #[cfg(feature = "postgres")]
        Dialect::Postgres => facts!(
            "= ANY (ARRAY(SELECT value::uuid FROM jsonb_array_elements_text($1) AS asked (value)))"
        ),
        #[cfg(feature = "sqlite")]
        Dialect::Sqlite => facts!("IN (SELECT unhex(value) FROM json_each($1))"),
    };
    let ids: Json = ids.iter().map(|id| json!(id.as_uuid().simple())).collect();
    let suppressed_since = now - suppression::LIFETIME;
    let statement = sql(text).bind(ids).bind(suppressed_since);
    Ok(connection.fetch_all(statement).await?)
}
