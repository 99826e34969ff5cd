//! The letters and their data.

use chrono::{DateTime, Utc};

/// A person mentioned in a letter: by name if they have one, and always by address.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Person {
    /// The name the person chose, if any.
    pub name: Option<String>,
    /// The person's address, as it is shown.
    pub email: String,
}

impl Person {
    /// Creates a person without a name.
    pub fn new(email: impl Into<String>) -> Self {
        Self {
            name: None,
            email: email.into(),
        }
    }

    /// Adds a name.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }
}

/// The data of an invitation and its reminder.
///
/// Has no `Debug`: the link is a secret and must not reach a log.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Invitation {
    /// The organization to join.
    pub organization: String,
    /// The inviting member; `None` if the host or an operator invites.
    pub inviter: Option<Person>,
    /// The display name of the role, such as `Admin`.
    pub role: String,
    /// The link, including the token.
    pub link: String,
    /// The time at which the link stops working.
    pub expires_at: DateTime<Utc>,
    /// A personal message from the inviter, shown as a quote and never as a link.
    pub message: Option<String>,
}

/// A kind of letter with its data, independent of database and templates.
///
/// To add a notice: a variant here with its folder and data, a folder under `templates/notices/`,
/// its line in `templates.rs`, a section in every locale and a sample; the tests report whatever is
/// missing.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Letter {
    /// To the invitee: the invitation.
    Invitation(Invitation),
    /// To the invitee, before the link expires: a reminder.
    Reminder(Invitation),
    /// To the inviter: the invitation was accepted.
    Accepted {
        /// The organization that was joined.
        organization: String,
        /// The new member.
        member: Person,
        /// The display name of the member's role.
        role: String,
    },
    /// To the inviter: the invitation was declined.
    Declined {
        /// The organization of the invitation.
        organization: String,
        /// The invited address.
        invitee: String,
        /// The display name of the offered role.
        role: String,
    },
    /// To the inviter: the invitation expired without an answer.
    Expired {
        /// The organization of the invitation.
        organization: String,
        /// The invited address.
        invitee: String,
        /// The display name of the offered role.
        role: String,
    },
    /// To the inviter: the letter could not be delivered.
    Undeliverable {
        /// The organization of the invitation.
        organization: String,
        /// The invited address.
        invitee: String,
        /// The display name of the offered role.
        role: String,
        /// The mail server's reply, which is foreign text too.
        reason: String,
    },
    /// To the inviter: the letter was not sent, because the address is suppressed.
    Unreachable {
        /// The organization of the invitation.
        organization: String,
        /// The invited address.
        invitee: String,
        /// The display name of the offered role.
        role: String,
    },
    /// To a member: their role changed.
    RoleChanged {
        /// The organization the role belongs to.
        organization: String,
        /// The display name of the former role.
        before: String,
        /// The display name of the new role.
        after: String,
        /// The member that changed it; `None` if the host or an operator did.
        by: Option<Person>,
    },
    /// To a member: they are suspended.
    Suspended {
        /// The organization they are suspended from.
        organization: String,
        /// The member that suspended them; `None` if the host or an operator did.
        by: Option<Person>,
    },
    /// To a suspended member: they are reinstated.
    Reinstated {
        /// The organization they are reinstated in.
        organization: String,
        /// The member that reinstated them; `None` if the host or an operator did.
        by: Option<Person>,
    },
    /// To a former member: their membership has ended.
    Removed {
        /// The organization they left.
        organization: String,
        /// The member that removed them; `None` if the host or an operator did.
        by: Option<Person>,
    },
}

/// One value in a letter, by the treatment it needs before it is shown.
pub(crate) enum Value<'a> {
    /// A name or a mail server's reply: foreign text on one line.
    Name(&'a str),
    /// The host's own text, such as the display name of a role.
    Title(&'a str),
    /// An e-mail address.
    Address(&'a str),
    /// A person: `inviter`, `inviter_full` and `inviter_email` for the name `inviter`.
    Person(Option<&'a Person>),
    /// The link of the invitation.
    Link(&'a str),
    /// A time, formatted in the letter's language.
    Time(DateTime<Utc>),
    /// Foreign text of several lines.
    Message(Option<&'a str>),
}

impl Letter {
    /// Returns the folder of its templates, below `templates/`.
    pub fn folder(&self) -> &'static str {
        match self {
            Self::Invitation(_) => "invitation",
            Self::Reminder(_) => "reminder",
            Self::Accepted { .. } => "notices/accepted",
            Self::Declined { .. } => "notices/declined",
            Self::Expired { .. } => "notices/expired",
            Self::Undeliverable { .. } => "notices/undeliverable",
            Self::Unreachable { .. } => "notices/unreachable",
            Self::RoleChanged { .. } => "notices/role-changed",
            Self::Suspended { .. } => "notices/suspended",
            Self::Reinstated { .. } => "notices/reinstated",
            Self::Removed { .. } => "notices/removed",
        }
    }

    /// Returns the section of its phrases in every locale: the last part of the folder.
    pub(crate) fn section(&self) -> &'static str {
        let folder = self.folder();
        folder.rsplit('/').next().unwrap_or(folder)
    }

    /// Returns the link, if the letter has one.
    pub(crate) fn link(&self) -> Option<&str> {
        match self {
            Self::Invitation(invitation) | Self::Reminder(invitation) => Some(&invitation.link),
            _ => None,
        }
    }

    /// Returns all values, under the names that templates and phrases use.
    pub(crate) fn values(&self) -> Vec<(&'static str, Value<'_>)> {
        use Value::{Address, Name, Title};
        match self {
            Self::Invitation(invitation) | Self::Reminder(invitation) => invitation.values(),
            Self::Accepted {
                organization,
                member,
                role,
            } => vec![
                ("organization", Name(organization)),
                ("member", Value::Person(Some(member))),
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
            }
            | Self::Unreachable {
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
                ("by", Value::Person(by.as_ref())),
            ],
            Self::Suspended { organization, by }
            | Self::Reinstated { organization, by }
            | Self::Removed { organization, by } => vec![
                ("organization", Name(organization)),
                ("by", Value::Person(by.as_ref())),
            ],
        }
    }
}

impl Invitation {
    /// Creates an invitation to an organization, from nobody that the letter names and without a
    /// personal message.
    pub fn new(
        organization: impl Into<String>,
        role: impl Into<String>,
        link: impl Into<String>,
        expires_at: DateTime<Utc>,
    ) -> Self {
        Self {
            organization: organization.into(),
            inviter: None,
            role: role.into(),
            link: link.into(),
            expires_at,
            message: None,
        }
    }

    fn values(&self) -> Vec<(&'static str, Value<'_>)> {
        vec![
            ("organization", Value::Name(&self.organization)),
            ("inviter", Value::Person(self.inviter.as_ref())),
            ("role", Value::Title(&self.role)),
            ("link", Value::Link(&self.link)),
            ("expires_at", Value::Time(self.expires_at)),
            ("message", Value::Message(self.message.as_deref())),
        ]
    }
}
