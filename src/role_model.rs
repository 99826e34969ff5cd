//! Who may do what, and who may do what to whom.

mod definition;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use serde::Deserialize;

pub use self::definition::RoleDefinition;
use crate::role::Role;

/// The roles of an application, lowest rank first, as one checked value.
///
/// It decides every rule about roles; memberships only name one. Cloning is cheap. Two models are
/// equal when they have the same roles in the same order, each with the same title, permissions and
/// grants; whether a permission was listed or inherited makes no difference.
#[derive(Clone, PartialEq, Eq)]
pub struct RoleModel(Arc<Model>);

#[derive(PartialEq, Eq)]
struct Model {
    roles: Vec<RoleDefinition>,
    keeps: Role,
}

/// Why roles do not make a model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidRoleModel {
    /// The text is not TOML of the expected shape.
    #[error("the role model does not read as TOML: {0}")]
    Syntax(String),
    /// There is no role at all.
    #[error("a role model has at least one role")]
    Empty,
    /// Two roles share a name.
    #[error("role {0} is defined twice")]
    Duplicate(Role),
    /// A list, `includes` or `keeps` names a role that is not defined.
    #[error("{at} names the role {role}, which is not defined")]
    UnknownRole {
        /// Where it is named.
        at: String,
        /// What is named.
        role: Role,
    },
    /// Roles include each other in a circle.
    #[error("role {0} includes itself, directly or through others")]
    Cycle(Role),
    /// The role that keeps a holder is not the highest, so its last holder could rise above it.
    #[error("role {keeps} keeps a holder, but role {above} ranks above it")]
    KeepsBelow {
        /// The role that keeps a holder.
        keeps: Role,
        /// The highest role.
        above: Role,
    },
    /// A role may grant what ranks above it.
    #[error("role {by} may grant {grants}, which ranks above it")]
    GrantsAbove {
        /// The role that grants.
        by: Role,
        /// The role it grants.
        grants: Role,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    keeps: Role,
    #[serde(default, rename = "role")]
    roles: Vec<RoleDefinition>,
}

impl RoleModel {
    /// Agent, Manager, Admin and Owner, where only Owners add or remove Owners.
    pub fn four_tier() -> Self {
        Self::from_toml(include_str!("role_model/four_tier.toml"))
            .expect("the preset is valid, a test says so")
    }

    /// User and Admin under one account owner, who is only ever replaced by a transfer.
    pub fn two_role() -> Self {
        Self::from_toml(include_str!("role_model/two_role.toml"))
            .expect("the preset is valid, a test says so")
    }

    /// The preset of that name: `four-tier` or `two-role`.
    pub fn preset(name: &str) -> Option<Self> {
        match name {
            "four-tier" => Some(Self::four_tier()),
            "two-role" => Some(Self::two_role()),
            _ => None,
        }
    }

    /// A model of `roles`, lowest rank first, the last of which, `keeps`, is held by at least one
    /// member.
    ///
    /// # Errors
    /// When a role is named but not defined, defined twice, includes itself or grants above itself,
    /// or when `keeps` is not the highest.
    pub fn new(roles: Vec<RoleDefinition>, keeps: Role) -> Result<Self, InvalidRoleModel> {
        let mut model = Model { roles, keeps };
        model.check()?;
        model.inherit()?;
        Ok(Self(Arc::new(model)))
    }

    /// Reads a model from TOML: `keeps = "owner"`, then a `[[role]]` per role, lowest rank first.
    ///
    /// # Errors
    /// When the text is not of that shape, or for what [`RoleModel::new`] refuses.
    pub fn from_toml(text: &str) -> Result<Self, InvalidRoleModel> {
        let document: Document = toml::from_str(text)
            .map_err(|error| InvalidRoleModel::Syntax(error.to_string().trim_end().to_owned()))?;
        Self::new(document.roles, document.keeps)
    }

    /// The roles, lowest rank first.
    pub fn roles(&self) -> &[RoleDefinition] {
        &self.0.roles
    }

    /// The definition of `role`, where the model has it.
    pub fn get(&self, role: &Role) -> Option<&RoleDefinition> {
        self.0.get(role)
    }

    /// The role that keeps at least one holder in every organization.
    pub fn keeps(&self) -> &Role {
        &self.0.keeps
    }

    /// The role one step below the kept one, which who hands over ownership gets.
    pub(crate) fn below_kept(&self) -> &Role {
        let below = self.0.roles.len().saturating_sub(2);
        self.0.roles[below].name()
    }

    /// Whether `role` carries `permission`; a role the model does not know carries none.
    pub fn allows(&self, role: &Role, permission: &str) -> bool {
        self.get(role)
            .is_some_and(|role| role.permissions.contains(permission))
    }

    /// Whether `actor` may invite to `role`.
    pub fn may_invite(&self, actor: &Role, role: &Role) -> bool {
        self.get(actor)
            .is_some_and(|actor| actor.invites.contains(role))
    }

    /// Whether `actor` may change someone's role from `from` to `to`.
    pub fn may_change(&self, actor: &Role, from: &Role, to: &Role) -> bool {
        self.get(actor)
            .is_some_and(|actor| actor.changes_from.contains(from) && actor.changes_to.contains(to))
    }

    /// Whether `actor` may remove a holder of `role`.
    pub fn may_remove(&self, actor: &Role, role: &Role) -> bool {
        self.get(actor)
            .is_some_and(|actor| actor.removes.contains(role))
    }

    /// The place of `role` in the order, 0 being the lowest.
    pub fn rank(&self, role: &Role) -> Option<usize> {
        self.0.rank(role)
    }
}

/// Names the roles and the kept one; their permissions and grants would fill pages.
impl fmt::Debug for RoleModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ranks: Vec<_> = self.0.roles.iter().map(|role| role.name.as_str()).collect();
        write!(
            f,
            "RoleModel({}; keeps {})",
            ranks.join(" < "),
            self.keeps()
        )
    }
}

impl Default for RoleModel {
    fn default() -> Self {
        Self::four_tier()
    }
}

impl Model {
    fn get(&self, role: &Role) -> Option<&RoleDefinition> {
        self.roles
            .iter()
            .find(|definition| definition.name == *role)
    }

    fn rank(&self, role: &Role) -> Option<usize> {
        self.roles
            .iter()
            .position(|definition| definition.name == *role)
    }

    fn check(&self) -> Result<(), InvalidRoleModel> {
        if self.roles.is_empty() {
            return Err(InvalidRoleModel::Empty);
        }
        if self.get(&self.keeps).is_none() {
            return Err(InvalidRoleModel::UnknownRole {
                at: "keeps".to_owned(),
                role: self.keeps.clone(),
            });
        }
        for (rank, role) in self.roles.iter().enumerate() {
            if self.rank(&role.name) != Some(rank) {
                return Err(InvalidRoleModel::Duplicate(role.name.clone()));
            }
            for (list, named) in role.named_roles() {
                if self.get(named).is_none() {
                    let at = format!("{list} of role {}", role.name);
                    return Err(InvalidRoleModel::UnknownRole {
                        at,
                        role: named.clone(),
                    });
                }
            }
            if let Some(above) = role
                .grants()
                .find(|granted| self.rank(granted) > Some(rank))
            {
                return Err(InvalidRoleModel::GrantsAbove {
                    by: role.name.clone(),
                    grants: above.clone(),
                });
            }
        }
        match self.roles.last() {
            Some(highest) if highest.name != self.keeps => Err(InvalidRoleModel::KeepsBelow {
                keeps: self.keeps.clone(),
                above: highest.name.clone(),
            }),
            _ => Ok(()),
        }
    }

    /// Copies the permissions of included roles and drops the references, so a check never walks.
    fn inherit(&mut self) -> Result<(), InvalidRoleModel> {
        for index in 0..self.roles.len() {
            let mut inherited = BTreeSet::new();
            let mut visited = vec![self.roles[index].name.clone()];
            let mut next = self.roles[index].includes.clone();
            while let Some(role) = next {
                if visited.contains(&role) {
                    return Err(InvalidRoleModel::Cycle(role));
                }
                let included = self
                    .get(&role)
                    .expect("checked before: every named role is defined");
                inherited.extend(included.permissions.iter().cloned());
                next = included.includes.clone();
                visited.push(role);
            }
            self.roles[index].permissions.extend(inherited);
        }
        for role in &mut self.roles {
            role.includes = None;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(name: &str) -> Role {
        name.parse().expect("a role's name")
    }

    fn model(text: &str) -> Result<RoleModel, InvalidRoleModel> {
        RoleModel::from_toml(text)
    }

    #[test]
    fn the_presets_are_valid() {
        assert_eq!(RoleModel::four_tier().roles().len(), 4);
        assert_eq!(RoleModel::two_role().roles().len(), 3);
    }

    #[test]
    fn an_admin_manages_everyone_below_owner() {
        let model = RoleModel::four_tier();
        for name in ["agent", "manager", "admin"] {
            assert!(model.may_invite(&role("admin"), &role(name)));
            assert!(model.may_remove(&role("admin"), &role(name)));
            assert!(model.may_change(&role("admin"), &role(name), &role("agent")));
        }
        assert!(!model.may_invite(&role("admin"), &role("owner")));
        assert!(!model.may_remove(&role("admin"), &role("owner")));
        assert!(!model.may_change(&role("admin"), &role("agent"), &role("owner")));
        assert!(!model.may_change(&role("admin"), &role("owner"), &role("agent")));
    }

    #[test]
    fn permissions_of_included_roles_are_inherited() {
        let model = RoleModel::four_tier();
        assert!(model.allows(&role("owner"), "inbox.reply"));
        assert!(model.allows(&role("owner"), "billing.manage"));
        assert!(!model.allows(&role("admin"), "billing.manage"));
        assert!(!model.allows(&role("nobody"), "inbox.reply"));
    }

    #[test]
    fn a_model_with_a_mistake_is_refused_by_name() {
        let cases = [
            ("keeps = 'a'", InvalidRoleModel::Empty),
            (
                "keeps = 'b'\n[[role]]\nname = 'a'",
                InvalidRoleModel::UnknownRole {
                    at: "keeps".into(),
                    role: role("b"),
                },
            ),
            (
                "keeps = 'a'\n[[role]]\nname = 'a'\n[[role]]\nname = 'a'",
                InvalidRoleModel::Duplicate(role("a")),
            ),
            (
                "keeps = 'a'\n[[role]]\nname = 'a'\ninvites = ['x']",
                InvalidRoleModel::UnknownRole {
                    at: "invites of role a".into(),
                    role: role("x"),
                },
            ),
            (
                "keeps = 'a'\n[[role]]\nname = 'a'\n[[role]]\nname = 'b'",
                InvalidRoleModel::KeepsBelow {
                    keeps: role("a"),
                    above: role("b"),
                },
            ),
            (
                "keeps = 'a'\n[[role]]\nname = 'a'\nincludes = 'a'",
                InvalidRoleModel::Cycle(role("a")),
            ),
            (
                "keeps = 'a'\n[[role]]\nname = 'a'\nchanges_to = ['b']\n[[role]]\nname = 'b'",
                InvalidRoleModel::GrantsAbove {
                    by: role("a"),
                    grants: role("b"),
                },
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(model(text).expect_err(text), expected);
        }
        assert!(matches!(
            model("keeps = 'a'\n[[role]]\nname = 'A'"),
            Err(InvalidRoleModel::Syntax(_))
        ));
        assert!(matches!(
            model("keeps = 'a'\n[[role]]\nnane = 'a'"),
            Err(InvalidRoleModel::Syntax(_))
        ));
    }

    #[test]
    fn a_model_shows_its_roles_in_one_line() {
        let shown = format!("{:#?}", RoleModel::two_role());
        assert_eq!(shown, "RoleModel(user < admin < owner; keeps owner)");
    }

    #[test]
    fn a_model_built_in_rust_equals_one_read_from_toml() {
        let read = model(
            "keeps = 'chief'
             [[role]]
             name = 'reader'
             permissions = ['docs.read']
             [[role]]
             name = 'chief'
             title = 'Chief'
             permissions = ['docs.read']
             invites = ['chief', 'reader']
             changes_from = ['reader']
             changes_to = ['chief']
             removes = ['reader']",
        );
        let built = RoleModel::new(
            vec![
                RoleDefinition::new(role("reader")).permitting(["docs.read"]),
                RoleDefinition::new(role("chief"))
                    .title("Chief")
                    .including(role("reader"))
                    .inviting([role("reader"), role("chief")])
                    .changing([role("reader")], [role("chief")])
                    .removing([role("reader")]),
            ],
            role("chief"),
        )
        .expect("valid");
        assert_eq!(read.as_ref(), Ok(&built));
        assert_ne!(read, Ok(RoleModel::four_tier()));
        assert!(built.allows(&role("chief"), "docs.read"));
        assert!(built.may_change(&role("chief"), &role("reader"), &role("chief")));
        assert_eq!(
            built.get(&role("chief")).expect("defined").display_name(),
            "Chief"
        );
        assert_eq!(built.below_kept(), &role("reader"));
    }
}
