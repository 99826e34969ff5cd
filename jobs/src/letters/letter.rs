//! The letters that exist and what each of them says.

use chrono::{DateTime, Utc};

/// Someone named in a letter: by name if they have one, and always by address.
#[derive(Clone, PartialEq, Eq)]
pub struct Person {
    /// The name they chose, if any.
    pub name: Option<String>,
    /// Their address, as it is shown.
    pub email: String,
}

/// What an invitation and its reminder say.
///
/// It has no `Debug`: the link is a secret and must not reach a log.
#[derive(Clone, PartialEq, Eq)]
pub struct Invitation {
    /// The organization to join.
    pub organization: String,
    /// Who invites.
    pub inviter: Person,
    /// The role's title as a person reads it, such as `Admin`.
    pub role: String,
    /// The one link, the token included.
    pub link: String,
    /// When the link stops working.
    pub expires_at: DateTime<Utc>,
    /// A few words from the inviter, shown quoted and never as a link.
    pub message: Option<String>,
}

/// A letter's kind and facts, plain data with no tie to a database or a template.
///
/// To add a notice: a variant here with its folder and facts, a folder under
/// `templates/notices/`, its line in `templates.rs`, a section in every locale and a sample;
/// the tests name whatever is missing.
#[derive(Clone, PartialEq, Eq)]
pub enum Letter {
    /// To the invitee: come and join.
    Invitation(Invitation),
    /// To the invitee, before the link expires: you have not answered.
    Reminder(Invitation),
    /// To the inviter: they are in.
    Accepted {
        /// The organization joined.
        organization: String,
        /// Who accepted.
        member: Person,
        /// The title of the role they hold now.
        role: String,
    },
    /// To the inviter: they said no.
    Declined {
        /// The organization not joined.
        organization: String,
        /// The invited address.
        invitee: String,
        /// The title of the role offered.
        role: String,
    },
    /// To the inviter: nobody answered in time.
    Expired {
        /// The organization not joined.
        organization: String,
        /// The invited address.
        invitee: String,
        /// The title of the role offered.
        role: String,
    },
    /// To the inviter: the letter failed for good.
    Undeliverable {
        /// The organization not joined.
        organization: String,
        /// The invited address.
        invitee: String,
        /// The title of the role offered.
        role: String,
        /// The mail server's reply, which is foreign text too.
        reason: String,
    },
    /// To a member: another role from now on.
    RoleChanged {
        /// The organization the role belongs to.
        organization: String,
        /// The title of the former role.
        before: String,
        /// The title of the role held now.
        after: String,
        /// Who changed it; none when no person did.
        by: Option<Person>,
    },
    /// To a member: no access for now.
    Suspended {
        /// The organization closed to them.
        organization: String,
        /// Who suspended them; none when no person did.
        by: Option<Person>,
    },
    /// To a member who was suspended: access again.
    Reinstated {
        /// The organization open to them.
        organization: String,
        /// Who reinstated them; none when no person did.
        by: Option<Person>,
    },
    /// To a former member: access has ended.
    Removed {
        /// The organization left.
        organization: String,
        /// Who removed them; none when no person did.
        by: Option<Person>,
    },
}

/// One thing a letter says, by how it must be treated before it is shown.
pub(crate) enum Fact<'a> {
    /// A name or a reply: foreign text on one line.
    Name(&'a str),
    /// The host's own wording, such as a role's title.
    Title(&'a str),
    /// An e-mail address.
    Address(&'a str),
    /// A person: `inviter`, `inviter_full` and `inviter_email` for the fact `inviter`.
    Person(Option<&'a Person>),
    /// The one real link.
    Link(&'a str),
    /// A moment, written out in the letter's language.
    Time(DateTime<Utc>),
    /// Foreign text of several lines.
    Message(Option<&'a str>),
}

impl Letter {
    /// The folder of its templates, below `templates/`.
    pub fn folder(&self) -> &'static str {
        match self {
            Self::Invitation(_) => "invitation",
            Self::Reminder(_) => "reminder",
            Self::Accepted { .. } => "notices/accepted",
            Self::Declined { .. } => "notices/declined",
            Self::Expired { .. } => "notices/expired",
            Self::Undeliverable { .. } => "notices/undeliverable",
            Self::RoleChanged { .. } => "notices/role-changed",
            Self::Suspended { .. } => "notices/suspended",
            Self::Reinstated { .. } => "notices/reinstated",
            Self::Removed { .. } => "notices/removed",
        }
    }

    /// The section of its phrases in every locale: the last part of the folder.
    pub(crate) fn section(&self) -> &'static str {
        let folder = self.folder();
        folder.rsplit('/').next().unwrap_or(folder)
    }

    /// The link, in the letters that have one.
    pub(crate) fn link(&self) -> Option<&str> {
        match self {
            Self::Invitation(invitation) | Self::Reminder(invitation) => Some(&invitation.link),
            _ => None,
        }
    }

    /// Everything it says, under the names that templates and phrases use.
    pub(crate) fn facts(&self) -> Vec<(&'static str, Fact<'_>)> {
        use Fact::{Address, Name, Title};
        match self {
            Self::Invitation(invitation) | Self::Reminder(invitation) => invitation.facts(),
            Self::Accepted {
                organization,
                member,
                role,
            } => vec![
                ("organization", Name(organization)),
                ("member", Fact::Person(Some(member))),
                ("role", Title(role)),
            ],
            Self::Declined {
                organization,
                invitee,
                role,
            }
            | Self::Expired {
                organization,
                invitee,
                role,
            } => vec![
                ("organization", Name(organization)),
                ("invitee", Address(invitee)),
                ("role", Title(role)),
            ],
            Self::Undeliverable {
                organization,
                invitee,
                role,
                reason,
            } => vec![
                ("organization", Name(organization)),
                ("invitee", Address(invitee)),
                ("role", Title(role)),
                ("reason", Name(reason)),
            ],
            Self::RoleChanged {
                organization,
                before,
                after,
                by,
            } => vec![
                ("organization", Name(organization)),
                ("before", Title(before)),
                ("after", Title(after)),
                ("by", Fact::Person(by.as_ref())),
            ],
            Self::Suspended { organization, by }
            | Self::Reinstated { organization, by }
            | Self::Removed { organization, by } => vec![
                ("organization", Name(organization)),
                ("by", Fact::Person(by.as_ref())),
            ],
        }
    }
}

impl Invitation {
    fn facts(&self) -> Vec<(&'static str, Fact<'_>)> {
        vec![
            ("organization", Fact::Name(&self.organization)),
            ("inviter", Fact::Person(Some(&self.inviter))),
            ("role", Fact::Title(&self.role)),
            ("link", Fact::Link(&self.link)),
            ("expires_at", Fact::Time(self.expires_at)),
            ("message", Fact::Message(self.message.as_deref())),
        ]
    }
}
