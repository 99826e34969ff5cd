//! The role models, as tables written from their descriptions and not read from the library.

use guestlist::RoleModel;

/// The role that keeps a holder, in all of them.
pub const OWNER: &str = "owner";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Roles {
    FourTier,
    TwoRole,
    /// Inviting, removing and changing are three different people's business.
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

    /// Lowest first.
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
        let place = self.names().iter().position(|name| *name == role);
        place.expect("a role of the model")
    }

    /// What who hands the ownership over becomes.
    pub fn below_owner(self) -> &'static str {
        self.names()[self.names().len() - 2]
    }

    pub fn may_invite(self, actor: &str, role: &str) -> bool {
        match self {
            Self::Divided if actor != OWNER => {
                actor == "scout" && ["guest", "scout"].contains(&role)
            }
            _ => self.manages(actor, role),
        }
    }

    pub fn may_change(self, actor: &str, from: &str, to: &str) -> bool {
        match self {
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
            Self::Divided if actor != OWNER => {
                actor == "bouncer" && ["guest", "scout"].contains(&role)
            }
            _ => self.manages(actor, role),
        }
    }

    pub fn may_rename(self, actor: &str) -> bool {
        actor == OWNER || actor == self.below_owner()
    }

    pub fn may_delete(self, actor: &str) -> bool {
        actor == OWNER
    }

    /// Owners of the four tiers manage everyone; where there is one account owner, nobody manages
    /// that one, and Admins manage all below.
    fn manages(self, actor: &str, role: &str) -> bool {
        match (self, actor) {
            (Self::FourTier | Self::Divided, OWNER) => true,
            (Self::TwoRole, OWNER) | (_, "admin") => role != OWNER,
            _ => false,
        }
    }
}
