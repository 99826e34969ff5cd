//! Sample letters, one of each kind, to check templates and phrases before any letter uses them.

use chrono::DateTime;

use super::letter::{Invitation, Letter, Person};

/// The texts of a sample.
pub(crate) struct Sample {
    /// The prefix of every text; the name of the value follows.
    before: &'static str,
    /// The text after the name of the value.
    after: &'static str,
    /// True if all optional values are set.
    complete: bool,
}

/// Ordinary values.
pub(crate) const ORDINARY: Sample = Sample {
    before: "The ",
    after: "",
    complete: true,
};

/// Ordinary values without names, message and actor.
pub(crate) const BARE: Sample = Sample {
    before: "The ",
    after: "",
    complete: false,
};

/// Values with everything that could become a tag, an attribute or an expression.
pub(crate) const HOSTILE: Sample = Sample {
    before: "\"'><hostile-",
    after: "></td></table>{{link}}{{{x}}}%s{role}&amp;",
    complete: true,
};

/// The start of `HOSTILE` values, which appears in HTML only if escaping is missing.
pub(crate) const HOSTILE_TAG: &str = "<hostile-";

impl Sample {
    /// Returns the address of the recipient.
    pub(crate) fn recipient(&self) -> String {
        self.text("recipient")
    }

    /// Returns one letter of every kind.
    pub(crate) fn letters(&self) -> Vec<Letter> {
        let organization = self.text("organization");
        let role = self.text("role");
        let invitee = self.text("invitee");
        vec![
            Letter::Invitation(self.invitation()),
            Letter::Reminder(self.invitation()),
            Letter::Accepted {
                organization: organization.clone(),
                member: self.person("member"),
                role: role.clone(),
            },
            Letter::Declined {
                organization: organization.clone(),
                invitee: invitee.clone(),
                role: role.clone(),
            },
            Letter::Expired {
                organization: organization.clone(),
                invitee: invitee.clone(),
                role: role.clone(),
            },
            Letter::Undeliverable {
                organization: organization.clone(),
                invitee: invitee.clone(),
                role: role.clone(),
                reason: self.text("reason"),
            },
            Letter::Unreachable {
                organization: organization.clone(),
                invitee,
                role,
            },
            Letter::RoleChanged {
                organization: organization.clone(),
                before: self.text("before"),
                after: self.text("after"),
                by: self.complete.then(|| self.person("by")),
            },
            Letter::Suspended {
                organization: organization.clone(),
                by: self.complete.then(|| self.person("by")),
            },
            Letter::Reinstated {
                organization: organization.clone(),
                by: self.complete.then(|| self.person("by")),
            },
            Letter::Removed {
                organization,
                by: self.complete.then(|| self.person("by")),
            },
        ]
    }

    fn invitation(&self) -> Invitation {
        Invitation {
            organization: self.text("organization"),
            inviter: Some(self.person("inviter")),
            role: self.text("role"),
            link: format!(
                "https://app.example.com/join?a=1&t={}",
                self.text("link").replace(' ', "-")
            ),
            expires_at: DateTime::UNIX_EPOCH,
            message: self
                .complete
                .then(|| format!("{}\n{}", self.text("message"), self.text("message"))),
        }
    }

    fn person(&self, name: &str) -> Person {
        Person {
            name: self.complete.then(|| self.text(name)),
            email: self.text(&format!("{name}_email")),
        }
    }

    fn text(&self, name: &str) -> String {
        format!("{}{name}{}", self.before, self.after)
    }
}
