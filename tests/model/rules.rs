//! The role models as tables, written from their descriptions and not read from the library.

use guestlist::RoleModel;

/// The authority of the host and of operators, in the place of a role.
pub const UNBOUND: &str = "unbound";

/// The role that must keep a holder, in all models.
pub const OWNER: &str = "owner";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Roles {
    FourTier,
    TwoRole,
    /// A model in which different roles invite, remove and change.
    Divided,
}

const DIVIDED: &str = r#"
keeps = "owner"

[[role]]
name = "guest"
title = "Guest"

[[role]]
name = "scout"
title = "Scout"
invites = ["guest", "scout"]

[[role]]
name = "bouncer"
title = "Bouncer"
removes = ["guest", "scout"]

[[role]]
name = "steward"
title = "Steward"
permissions = ["organization.rename"]
changes_from = ["guest", "scout", "bouncer"]
changes_to = ["guest", "scout"]

[[role]]
name = "owner"
title = "Owner"
includes = "steward"
permissions = ["organization.delete"]
invites = ["guest", "scout", "bouncer", "steward", "owner"]
changes_from = ["guest", "scout", "bouncer", "steward", "owner"]
changes_to = ["guest", "scout", "bouncer", "steward", "owner"]
removes = ["guest", "scout", "bouncer", "steward", "owner"]
"#;

impl Roles {
    pub fn role_model(self) -> RoleModel {
        match self {
            Self::FourTier => RoleModel::four_tier(),
            Self::TwoRole => RoleModel::two_role(),
            Self::Divided => RoleModel::from_toml(DIVIDED).expect("a valid model"),
        }
    }

    /// The roles, lowest first.
    pub fn names(self) -> &'static [&'static str] {
        match self {
            Self::FourTier => &["agent", "manager", "admin", OWNER],
            Self::TwoRole => &["user", "admin", OWNER],
            Self::Divided => &["guest", "scout", "bouncer", "steward", OWNER],
        }
    }

    pub fn knows(self, role: &str) -> bool {
        self.names().contains(&role)
    }

    pub fn rank(self, role: &str) -> usize {
        let index = self.names().iter().position(|name| *name == role);
        index.expect("a role of the model")
    }

    /// The role that a former owner gets when handing over the ownership.
    pub fn below_owner(self) -> &'static str {
        self.names()[self.names().len() - 2]
    }

    pub fn may_invite(self, actor: &str, role: &str) -> bool {
        match self {
            _ if actor == UNBOUND => true,
            Self::Divided if actor != OWNER => {
                actor == "scout" && ["guest", "scout"].contains(&role)
            }
            _ => self.manages(actor, role),
        }
    }

    pub fn may_change(self, actor: &str, from: &str, to: &str) -> bool {
        match self {
            _ if actor == UNBOUND => true,
            Self::Divided if actor != OWNER => {
                actor == "steward"
                    && ["guest", "scout", "bouncer"].contains(&from)
                    && ["guest", "scout"].contains(&to)
            }
            _ => self.manages(actor, from) && self.manages(actor, to),
        }
    }

    pub fn may_remove(self, actor: &str, role: &str) -> bool {
        match self {
            _ if actor == UNBOUND => true,
            Self::Divided if actor != OWNER => {
                actor == "bouncer" && ["guest", "scout"].contains(&role)
            }
            _ => self.manages(actor, role),
        }
    }

    pub fn may_rename(self, actor: &str) -> bool {
        [UNBOUND, OWNER, self.below_owner()].contains(&actor)
    }

    pub fn may_delete(self, actor: &str) -> bool {
        [UNBOUND, OWNER].contains(&actor)
    }

    /// In the four-tier and the divided model an owner manages everyone; in the two-role model
    /// nobody manages the account owner. Admins manage everyone below the owner.
    fn manages(self, actor: &str, role: &str) -> bool {
        match (self, actor) {
            (Self::FourTier | Self::Divided, OWNER) => true,
            (Self::TwoRole, OWNER) | (_, "admin") => role != OWNER,
            _ => false,
        }
    }
}
