//! What the letters of invitations need to know, read for many at once: the worker's side.

use serde_json::{Value as Json, json};
use sqlx::FromRow;

use crate::connection::{Connection, Dialect, Lend, sql};
use crate::error::Error;
use crate::guestlist::Guestlist;
use crate::id::InvitationId;
use crate::invitation::{COLUMNS, Invitation};
use crate::membership::{self, Membership};
use crate::organization::{self, Organization};

/// The state of now, as a letter of one invitation needs it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LetterFacts {
    /// The invitation.
    pub invitation: Invitation,
    /// Where to, unless it is gone.
    pub organization: Option<Organization>,
    /// The member who granted it, unless they are gone or suspended. `None` too where the host or an
    /// operator granted it.
    pub inviter: Option<Membership>,
    /// The grant holds, as [`grant_holds`] says.
    pub grant_holds: bool,
    /// Why no letter goes to the address any more, if so.
    pub suppression: Option<String>,
}

/// An invitation, and what of the rest there is.
#[derive(FromRow)]
struct Row {
    #[sqlx(flatten)]
    invitation: Invitation,
    #[sqlx(flatten)]
    organization: organization::Beside,
    #[sqlx(flatten)]
    inviter: membership::Beside,
    suppression: Option<String>,
}

/// Returns whether the grant behind an invitation holds: it was the host's or an operator's, or its inviter
/// is a member who is not suspended and whose role may grant the invitation's.
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

/// Reads what letters of these invitations need, in one statement however many they are. An
/// invitation that is gone is left out.
///
/// # Errors
/// [`Error::Database`], for one of them as for all.
pub async fn letter_facts(
    guestlist: &Guestlist,
    connection: impl Lend<'_>,
    ids: &[InvitationId],
) -> Result<Vec<LetterFacts>, Error> {
    let rows = rows(&mut connection.lend(), ids).await?;
    let model = guestlist.role_model();
    let facts = rows.into_iter().map(|row| {
        let invitation = row.invitation;
        let inviter = match invitation.granted_by.member() {
            Some(user) => row.inviter.of(invitation.organization, user)?,
            None => None,
        };
        let inviter = inviter.filter(|inviter| !inviter.is_suspended());
        Ok(LetterFacts {
            organization: row.organization.of(invitation.organization),
            grant_holds: match &inviter {
                Some(inviter) => model.may_invite(&inviter.role, &invitation.role),
                None => invitation.granted_by.member().is_none(),
            },
            inviter,
            suppression: row.suppression,
            invitation,
        })
    });
    facts.collect()
}

async fn rows(connection: &mut Connection<'_>, ids: &[InvitationId]) -> Result<Vec<Row>, Error> {
    macro_rules! facts {
        ($which:literal) => {
            const_format::concatcp!(
                "SELECT invitation.*, suppression.reason AS suppression, ",
                organization::BESIDE,
                ", ",
                membership::BESIDE,
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
                     ON suppression.email_key = invitation.email_key"
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
    Ok(connection.fetch_all(sql(text).bind(ids)).await?)
}
