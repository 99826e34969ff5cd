//! The rules about roles: their permissions, and the roles they may grant, change and remove.

mod definition;
mod document;
mod invalid;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

pub use self::definition::RoleDefinition;
pub use self::invalid::InvalidRoleModel;
use crate::role::Role;

/// The roles of an application, lowest rank first, as one checked value.
///
/// It decides every rule about roles; a membership only names one. Cloning is cheap. Two models are
/// equal if they have the same roles in the same order, each with the same title, permissions and
/// grants. It makes no difference if a permission was listed or inherited.
#[derive(Clone, PartialEq, Eq)]
pub struct RoleModel(Arc<Model>);

#[derive(PartialEq, Eq)]
struct Model {
    roles: Vec<RoleDefinition>,
    keeps: Role,
}

impl RoleModel {
    /// The maximum number of roles: far more than any application has, and few enough to check in
    /// milliseconds.
    pub const MAX_ROLES: usize = 500;

    /// Returns the preset with the roles Agent, Manager, Admin and Owner.
    ///
    /// An Agent handles conversations in the inbox, replies and views the conversations assigned to
    /// them; a Manager also views reports, manages client records and sees all conversations; an
    /// Admin also configures AI assistants, playbooks, training context, settings and channels, and
    /// manages everyone below Owner; an Owner does everything, billing included, and only Owners
    /// add or remove Owners. The last Owner cannot be removed.
    pub fn four_tier() -> Self {
        Self::from_toml(include_str!("role_model/four_tier.toml"))
            .expect("the preset is valid, a test says so")
    }

    /// Returns the preset with the roles User and Admin under one account owner.
    ///
    /// A User works the inbox and the leads: replies, archives, blocks contacts, resolves
    /// escalations, pauses and resumes AI replies, assigns and reassigns. An Admin does everything;
    /// Admins and the owner invite, change roles and remove. The owner cannot be removed or
    /// demoted, and a new owner is made only by a transfer. Only the owner may delete the
    /// organization, because that removes the owner too.
    pub fn two_role() -> Self {
        Self::from_toml(include_str!("role_model/two_role.toml"))
            .expect("the preset is valid, a test says so")
    }

    /// Returns the preset of that name: `four-tier` or `two-role`.
    pub fn preset(name: &str) -> Option<Self> {
        match name {
            "four-tier" => Some(Self::four_tier()),
            "two-role" => Some(Self::two_role()),
            _ => None,
        }
    }

    /// Builds a model of `roles`, lowest rank first. The last one, `keeps`, is the owner role: at
    /// least one member always holds it.
    ///
    /// # Errors
    /// The first [`InvalidRoleModel`] found, except [`Malformed`](InvalidRoleModel::Malformed) and
    /// [`NoProtectedRole`](InvalidRoleModel::NoProtectedRole).
    pub fn new(roles: Vec<RoleDefinition>, keeps: Role) -> Result<Self, InvalidRoleModel> {
        let mut model = Model { roles, keeps };
        model.check()?;
        model.inherit()?;
        Ok(Self(Arc::new(model)))
    }

    /// Reads a model from TOML: `keeps = "owner"`, then a `[[role]]` per role, lowest rank first.
    ///
    /// # Errors
    /// [`InvalidRoleModel::Malformed`] with the position in `text`,
    /// [`InvalidRoleModel::NoProtectedRole`], or an error of [`RoleModel::new`].
    pub fn from_toml(text: &str) -> Result<Self, InvalidRoleModel> {
        let (roles, keeps) = document::read(text)?;
        if roles.is_empty() {
            return Err(InvalidRoleModel::Empty);
        }
        Self::new(roles, keeps.ok_or(InvalidRoleModel::NoProtectedRole)?)
    }

    /// Returns the roles, lowest rank first.
    pub fn roles(&self) -> &[RoleDefinition] {
        &self.0.roles
    }

    /// Returns the definition of `role`, if the model has it.
    pub fn get(&self, role: &Role) -> Option<&RoleDefinition> {
        self.0.get(role)
    }

    /// Returns the owner role, which at least one member of every organization holds.
    pub fn keeps(&self) -> &Role {
        &self.0.keeps
    }

    /// Returns the role one rank below the owner role, which a member gets after transferring
    /// ownership.
    pub fn below_kept(&self) -> &Role {
        let below = self.0.roles.len().saturating_sub(2);
        self.0.roles[below].name()
    }

    /// Returns `true` if `role` has `permission`; a role that is not in the model has none.
    pub fn allows(&self, role: &Role, permission: &str) -> bool {
        self.get(role)
            .is_some_and(|role| role.permissions.contains(permission))
    }

    /// Returns `true` if `actor` may invite to `role`.
    pub fn may_invite(&self, actor: &Role, role: &Role) -> bool {
        self.get(actor)
            .is_some_and(|actor| actor.invites.contains(role))
    }

    /// Returns `true` if `actor` may revoke an invitation to `role`: a role that may invite to it,
    /// or the owner role if `role` is not in the model any more.
    pub fn may_revoke(&self, actor: &Role, role: &Role) -> bool {
        self.may_invite(actor, role) || self.clears_away(actor, role)
    }

    /// Returns `true` if `actor` may change a member's role from `from` to `to`. If `from` is not
    /// in the model any more, the owner role may change it to any role it may otherwise assign.
    pub fn may_change(&self, actor: &Role, from: &Role, to: &Role) -> bool {
        self.get(actor).is_some_and(|definition| {
            definition.changes_to.contains(to)
                && (definition.changes_from.contains(from) || self.clears_away(actor, from))
        })
    }

    /// Returns `true` if `actor` may remove a holder of `role`. If `role` is not in the model any
    /// more, the owner role may.
    pub fn may_remove(&self, actor: &Role, role: &Role) -> bool {
        self.get(actor)
            .is_some_and(|definition| definition.removes.contains(role))
            || self.clears_away(actor, role)
    }

    /// Returns `true` for the owner role if `role` was removed from the model. No list names such a
    /// role, and its holders must not be stuck in it.
    fn clears_away(&self, actor: &Role, role: &Role) -> bool {
        *actor == self.0.keeps && self.get(role).is_none()
    }

    /// Returns the rank of `role`, 0 being the lowest.
    pub fn rank(&self, role: &Role) -> Option<usize> {
        self.0.rank(role)
    }
}

/// Writes the roles and the owner role; all permissions and grants would fill pages.
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

    fn check(&mut self) -> Result<(), InvalidRoleModel> {
        let Some(highest) = self.roles.last() else {
            return Err(InvalidRoleModel::Empty);
        };
        let highest = highest.name.clone();
        if self.roles.len() > RoleModel::MAX_ROLES {
            return Err(InvalidRoleModel::TooMany(self.roles.len()));
        }
        self.require("keeps", &self.keeps)?;
        for (rank, role) in self.roles.iter().enumerate() {
            if self.rank(&role.name) != Some(rank) {
                return Err(InvalidRoleModel::Duplicate(role.name.clone()));
            }
        }
        for role in &self.roles {
            self.check_grants(role)?;
        }
        if highest != self.keeps {
            return Err(InvalidRoleModel::KeepsBelow {
                keeps: self.keeps.clone(),
                above: highest,
            });
        }
        self.roles
            .iter_mut()
            .try_for_each(RoleDefinition::check_texts)
    }

    fn check_grants(&self, role: &RoleDefinition) -> Result<(), InvalidRoleModel> {
        let by = &role.name;
        for (list, named) in role.named_roles() {
            self.require(&format!("{list} of role {by}"), named)?;
        }
        if let Some(grants) = role.grants().find(|named| self.ranks_above(named, by)) {
            return Err(InvalidRoleModel::GrantsAbove {
                by: by.clone(),
                grants: grants.clone(),
            });
        }
        match (role.changes_from.is_empty(), role.changes_to.is_empty()) {
            (true, false) => Err(InvalidRoleModel::HalfChange {
                role: by.clone(),
                missing: "changes_from",
            }),
            (false, true) => Err(InvalidRoleModel::HalfChange {
                role: by.clone(),
                missing: "changes_to",
            }),
            _ => Ok(()),
        }
    }

    fn require(&self, at: &str, named: &Role) -> Result<(), InvalidRoleModel> {
        if self.get(named).is_some() {
            return Ok(());
        }
        Err(InvalidRoleModel::UnknownRole {
            at: at.to_owned(),
            role: named.clone(),
            known: self.roles.iter().map(|role| role.name.clone()).collect(),
        })
    }

    fn ranks_above(&self, one: &Role, other: &Role) -> bool {
        self.rank(one) > self.rank(other)
    }

    /// Copies the permissions of included roles and drops the references, so that a check needs no
    /// recursion.
    fn inherit(&mut self) -> Result<(), InvalidRoleModel> {
        for index in 0..self.roles.len() {
            let mut inherited = BTreeSet::new();
            let mut path = vec![self.roles[index].name.clone()];
            let mut next = self.roles[index].includes.clone();
            while let Some(role) = next {
                if let Some(start) = path.iter().position(|before| *before == role) {
                    path.push(role);
                    return Err(InvalidRoleModel::Cycle(path.split_off(start)));
                }
                let included = self
                    .get(&role)
                    .expect("checked before: every named role is defined");
                inherited.extend(included.permissions.iter().cloned());
                next = included.includes.clone();
                path.push(role);
            }
            self.roles[index].permissions.extend(inherited);
        }
        for index in 0..self.roles.len() {
            let name = self.roles[index].name.clone();
            if let Some(includes) = self.roles[index].includes.take()
                && self.ranks_above(&includes, &name)
            {
                return Err(InvalidRoleModel::IncludesAbove {
                    role: name,
                    includes,
                });
            }
        }
        Ok(())
    }
}

/// The number of characters of a wrong word that an error shows: enough to find it.
const SHOWN: usize = 40;

fn excerpt(text: &str, longest: usize) -> String {
    match text.char_indices().nth(longest) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
