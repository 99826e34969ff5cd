//! Delivery results of invitation letters, recorded by the worker.

use chrono::{DateTime, Utc};
use serde_json::json;

use super::Delivery;
use crate::connection::{Lend, sql};
use crate::error::Error;
use crate::event::{Event, EventKind};
use crate::id::{InvitationId, OrganizationId};
use crate::smtp_reply_line::one_line;
use crate::suppression::suppress;

/// The result for one letter of an invitation.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DeliveryReport {
    /// The invitation.
    pub invitation: InvitationId,
    /// The number of the letter; a report on an older letter changes nothing.
    pub letter: i64,
    /// The delivery state.
    pub delivery: Delivery,
    /// The mail server's reply, or the reason why nothing was sent.
    pub detail: Option<String>,
    /// `true` if a failure says that the mailbox is missing or disabled, so that no organization
    /// sends letters to the address for a while.
    pub suppresses: bool,
    /// `true` if nothing was sent because the address is suppressed already.
    is_suppressed: bool,
}

impl DeliveryReport {
    /// The detail of a letter that was not sent because its address is suppressed. It says neither
    /// when nor why: another organization's letter may be the cause.
    pub const UNREACHABLE: &str = "the address cannot be reached by mail; hand over the link";

    /// Makes a report on a letter that was not sent because its address is suppressed. The inviter
    /// gets a notice, as after a failure.
    pub fn unreachable(invitation: InvitationId, letter: i64) -> Self {
        let detail = Some(Self::UNREACHABLE.to_owned());
        Self {
            is_suppressed: true,
            ..Self::new(invitation, letter, Delivery::Suppressed, detail)
        }
    }

    /// Makes a report on the letter of this number.
    pub fn new(
        invitation: InvitationId,
        letter: i64,
        delivery: Delivery,
        detail: Option<String>,
    ) -> Self {
        Self {
            invitation,
            letter,
            delivery,
            detail,
            suppresses: false,
            is_suppressed: false,
        }
    }

    /// Suppresses the address if the delivery is [`Delivery::Failed`]. Only for replies that say that
    /// the mailbox is missing or disabled: any other reason may hold for one organization alone.
    ///
    /// ```
    /// # use guestlist::{Delivery, InvitationId, worker::DeliveryReport};
    /// # fn example(invitation: InvitationId) {
    /// let detail = Some("550 5.1.1 no such user".to_owned());
    /// let report = DeliveryReport::new(invitation, 1, Delivery::Failed, detail).suppressing();
    /// assert!(report.suppresses);
    /// # }
    /// ```
    #[must_use]
    pub fn suppressing(self) -> Self {
        Self {
            suppresses: true,
            ..self
        }
    }
}

/// Records the result for an invitation's newest letter, unless that letter already failed for
/// good. A state that is computed at the read ([`Delivery::Paused`], [`Delivery::Bounced`]) is
/// not recorded. If it fails for good now, the inviter gets a notice, and the address is suppressed if the
/// report says so. A letter that was not sent because the address is suppressed already is told to the
/// inviter too ([`DeliveryReport::unreachable`]).
///
/// ```
/// # use chrono::{DateTime, Utc};
/// # use guestlist::{Connection, Error, worker};
/// # async fn example(tx: &mut Connection<'_>, now: DateTime<Utc>, report: worker::DeliveryReport) -> Result<(), Error> {
/// worker::record_delivery(&mut *tx, now, &report).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::NoTransaction`], [`Error::Database`].
pub async fn record_delivery(
    connection: impl Lend<'_>,
    now: DateTime<Utc>,
    report: &DeliveryReport,
) -> Result<(), Error> {
    let mut connection = connection.lend();
    connection.require_transaction()?;
    if report.delivery.is_computed() {
        return Ok(());
    }
    let statement = sql(
        "UPDATE guestlist_invitations SET delivery = $3, delivery_detail = $4
                         WHERE id = $1 AND letters = $2 AND delivery <> 'failed'
                         RETURNING organization_id, email",
    );
    let statement = statement
        .bind(report.invitation.as_uuid())
        .bind(report.letter);
    let detail = report.detail.as_deref().map(one_line);
    let statement = statement
        .bind(report.delivery.as_str())
        .bind(detail.as_deref());
    let Some((organization, email)) = connection
        .fetch_optional::<(OrganizationId, String)>(statement)
        .await?
    else {
        return Ok(());
    };
    if report.delivery != Delivery::Failed && !report.is_suppressed {
        return Ok(());
    }
    let reason = detail.as_deref().unwrap_or("refused");
    if report.suppresses
        && report.delivery == Delivery::Failed
        && let Ok(email) = email.parse()
    {
        suppress(&mut connection, now, &email, reason).await?;
    }
    let mut facts = json!({ "email": email, "reason": reason });
    if report.is_suppressed {
        facts["is_suppressed"] = json!(true);
    }
    Event::new(
        now,
        organization,
        EventKind::InvitationUndeliverable,
        report.invitation,
    )
    .after(facts)
    .record(&mut connection)
    .await
}
