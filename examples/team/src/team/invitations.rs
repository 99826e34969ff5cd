//! Actions on invitations: invite, resend, cancel, show the link.

use axum::Form;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use guestlist::{
    Actor, EmailAddress, InvitationId, Invite, Locale, OrganizationId, PersonalMessage, Role,
};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::Starts;
use crate::app::App;
use crate::member::Member;
use crate::page::{Frame, Page, Place};
use crate::problem::Problem;
use crate::{notice, refusal, shown_link};

/// The maximum number of addresses in one form.
pub(crate) const MAX_ADDRESSES: usize = 100;

/// The languages of letters.
pub(crate) const LANGUAGES: [(&str, &str); 3] =
    [("en", "English"), ("de", "Deutsch"), ("ar", "العربية")];

/// The content of the invitation form: the input as typed, and the outcome for each address.
#[derive(Default, Deserialize)]
pub(crate) struct Draft {
    pub(crate) emails: String,
    pub(crate) role: String,
    #[serde(default)]
    pub(crate) locale: String,
    #[serde(default)]
    pub(crate) message: String,
    #[serde(skip)]
    pub(crate) problem: Option<String>,
    #[serde(skip)]
    pub(crate) outcomes: Vec<Json>,
}

/// The terms that all invitations of one form share.
struct Terms {
    role: Role,
    locale: Locale,
    message: Option<PersonalMessage>,
}

impl Draft {
    fn terms(&self) -> Result<Terms, guestlist::Error> {
        let message = Some(self.message.as_str()).filter(|message| !message.trim().is_empty());
        let locale = match self.locale.as_str() {
            "" => Locale::default(),
            tag => tag.parse()?,
        };
        Ok(Terms {
            role: self.role.parse()?,
            locale,
            message: message.map(str::parse).transpose()?,
        })
    }

    /// Returns the typed addresses without duplicates.
    fn addresses(&self) -> Vec<&str> {
        let is_between = |c: char| c.is_whitespace() || matches!(c, ',' | ';');
        let mut addresses: Vec<&str> = Vec::new();
        for address in self
            .emails
            .split(is_between)
            .filter(|address| !address.is_empty())
        {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        addresses
    }
}

/// Invites each address independently and shows the outcome of each. Refused addresses stay in the form, to be
/// corrected.
pub(crate) async fn invite(
    State(app): State<App>,
    member: Member,
    frame: Frame,
    Query(starts): Query<Starts>,
    Form(draft): Form<Draft>,
) -> Result<Response, Problem> {
    let addresses = draft.addresses();
    let problem = match addresses.len() {
        0 => Some("Type at least one e-mail address.".to_owned()),
        count if count > MAX_ADDRESSES => {
            Some(format!("Type at most {MAX_ADDRESSES} addresses at a time."))
        }
        _ => None,
    };
    let (problem, terms) = match (problem, draft.terms()) {
        (None, Ok(terms)) => (None, Some(terms)),
        (Some(problem), _) => (Some(problem), None),
        (None, Err(error)) => (Some(refusal::words(&error)), None),
    };
    let Some(terms) = terms else {
        let draft = Draft { problem, ..draft };
        let page = super::page(&app, &member, &frame, starts, draft).await?;
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response());
    };
    let outcomes = invite_all(&app, &member, &addresses, &terms).await?;
    if !member.manages {
        // The page of this member has no invitation form that could show the problem.
        let problem = outcomes.into_iter().find_map(|outcome| outcome.problem);
        return Err(problem.unwrap_or(Problem::NoAccess));
    }
    let refused: Vec<_> = outcomes
        .iter()
        .filter(|outcome| outcome.problem.is_some())
        .collect();
    let status = status(&outcomes);
    let draft = Draft {
        emails: refused
            .iter()
            .map(|outcome| outcome.address.as_str())
            .collect::<Vec<_>>()
            .join("\n"),
        outcomes: outcomes.iter().map(Outcome::data).collect(),
        message: if refused.is_empty() {
            String::new()
        } else {
            draft.message
        },
        ..draft
    };
    let page = super::page(&app, &member, &frame, starts, draft).await?;
    Ok((status, page).into_response())
}

/// The outcome for one address.
struct Outcome {
    address: String,
    problem: Option<Problem>,
}

impl Outcome {
    fn data(&self) -> Json {
        let words = match &self.problem {
            None => "Invited.".to_owned(),
            Some(Problem::Guestlist(error)) => refusal::words(error),
            Some(problem) => problem.to_string(),
        };
        json!({ "email": self.address, "is_invited": self.problem.is_none(), "words": words })
    }
}

/// Returns the status of the first refusal if every address was refused, otherwise 200.
fn status(outcomes: &[Outcome]) -> StatusCode {
    let mut problems = outcomes.iter().map(|outcome| outcome.problem.as_ref());
    match problems.next() {
        Some(Some(first)) if problems.all(|problem| problem.is_some()) => first.status(),
        _ => StatusCode::OK,
    }
}

async fn invite_all(
    app: &App,
    member: &Member,
    addresses: &[&str],
    terms: &Terms,
) -> Result<Vec<Outcome>, Problem> {
    let mut outcomes = Vec::new();
    let mut invites = Vec::new();
    for (index, address) in addresses.iter().enumerate() {
        let parsed: Result<EmailAddress, _> = address.parse();
        let problem = parsed
            .as_ref()
            .err()
            .map(|error| Problem::Input(format!("This is not an e-mail address: {error}.")));
        outcomes.push(Outcome {
            address: (*address).to_owned(),
            problem,
        });
        invites.extend(parsed.ok().map(|email| (index, terms.invite(email))));
    }
    let (indices, invites): (Vec<_>, Vec<_>) = invites.into_iter().unzip();
    let mut tx = app.database.begin().await?;
    let invited = app
        .guestlist
        .act(Actor::member(&member.account.id))
        .in_organization(member.organization.id)
        .invite_all(&mut tx, invites)
        .await?;
    app.commit(tx).await?;
    for (index, outcome) in indices.into_iter().zip(invited) {
        outcomes[index].problem = outcome.err().map(Problem::from);
    }
    Ok(outcomes)
}

impl Terms {
    fn invite(&self, email: EmailAddress) -> Invite {
        let invite = Invite::new(email, self.role.clone()).locale(self.locale.clone());
        match &self.message {
            Some(message) => invite.message(message.clone()),
            None => invite,
        }
    }
}

/// The ids in a route of an organization's invitation.
type InvitationPath = Path<(OrganizationId, InvitationId)>;

pub(crate) async fn resend(
    State(app): State<App>,
    member: Member,
    Path((organization, id)): InvitationPath,
    Query(starts): Query<Starts>,
) -> Result<Redirect, Problem> {
    require_own(&app, organization, id).await?;
    let mut tx = app.database.begin().await?;
    let sent = app
        .guestlist
        .act(Actor::member(&member.account.id))
        .resend(&mut tx, id)
        .await?;
    app.commit(tx).await?;
    let done = format!(
        "Another e-mail is on its way to {}. The validity period of the invitation starts again.",
        sent.email
    );
    notice::leave(&member.session, done).await?;
    Ok(starts.back(&member, "pending"))
}

pub(crate) async fn cancel(
    State(app): State<App>,
    member: Member,
    Path((organization, id)): InvitationPath,
    Query(starts): Query<Starts>,
) -> Result<Redirect, Problem> {
    require_own(&app, organization, id).await?;
    let mut tx = app.database.begin().await?;
    let cancelled = app
        .guestlist
        .act(Actor::member(&member.account.id))
        .revoke(&mut tx, id)
        .await?;
    app.commit(tx).await?;
    let done = format!(
        "The invitation for {} is cancelled. Its link no longer works.",
        cancelled.email
    );
    notice::leave(&member.session, done).await?;
    Ok(starts.back(&member, "pending"))
}

/// Shows the link, so that it can be passed on by other means than a letter. The history records this.
pub(crate) async fn link(
    State(app): State<App>,
    member: Member,
    frame: Frame,
    Path((organization, id)): InvitationPath,
) -> Result<Page, Problem> {
    let invitation = require_own(&app, organization, id).await?;
    let mut tx = app.database.begin().await?;
    let token = app
        .guestlist
        .act(Actor::member(&member.account.id))
        .show_link(&mut tx, id)
        .await?;
    shown_link::remember(&mut tx, id).await?;
    app.commit(tx).await?;
    let data = json!({
        "email": invitation.email,
        "link": app.config.worker.link.with(&token),
    });
    Ok(frame.page("link", "Invitation link", Place::In(&member, "team"), data))
}

/// Returns an invitation if it belongs to the organization in the URL. The check is needed because Guestlist takes
/// the organization from the invitation itself.
async fn require_own(
    app: &App,
    organization: OrganizationId,
    id: InvitationId,
) -> Result<guestlist::Invitation, Problem> {
    let mut connection = app.database.acquire().await?;
    let found = app.guestlist.invitation(&mut connection, id).await?;
    let found = found.filter(|invitation| invitation.organization == organization);
    Ok(found.ok_or(guestlist::Error::NotFound)?)
}
