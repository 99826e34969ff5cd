//! One role of a model.

use std::collections::BTreeSet;

use super::{InvalidRoleModel, SHOWN, excerpt};
use crate::name::{Name, is_visible};
use crate::role::Role;

/// A role: its permissions, and the roles it may grant, change and remove.
///
/// `invites`, `changes_from`, `changes_to` and `removes` name roles. A model in which a role may
/// grant one that ranks above it is refused when it is built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleDefinition {
    pub(super) name: Role,
    pub(super) title: Option<String>,
    pub(super) includes: Option<Role>,
    pub(super) permissions: BTreeSet<String>,
    pub(super) invites: BTreeSet<Role>,
    pub(super) changes_from: BTreeSet<Role>,
    pub(super) changes_to: BTreeSet<Role>,
    pub(super) removes: BTreeSet<Role>,
}

impl RoleDefinition {
    /// Makes a role without any rights.
    pub fn new(name: Role) -> Self {
        Self {
            name,
            title: None,
            includes: None,
            permissions: BTreeSet::new(),
            invites: BTreeSet::new(),
            changes_from: BTreeSet::new(),
            changes_to: BTreeSet::new(),
            removes: BTreeSet::new(),
        }
    }

    /// The maximum length of a permission, in characters.
    pub const MAX_PERMISSION_LENGTH: usize = 100;

    /// Sets the title shown to people instead of the name. Letters show it, so the rules of a
    /// [`Name`] apply.
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = Some(title.into());
        self
    }

    /// Gives the role all permissions of `other`.
    pub fn including(mut self, other: Role) -> Self {
        self.includes = Some(other);
        self
    }

    /// Adds permissions, any words such as `billing.manage`: 1 to
    /// [`MAX_PERMISSION_LENGTH`](Self::MAX_PERMISSION_LENGTH) visible characters without spaces.
    pub fn permitting<P: Into<String>>(mut self, permissions: impl IntoIterator<Item = P>) -> Self {
        self.permissions
            .extend(permissions.into_iter().map(Into::into));
        self
    }

    /// Allows the role to invite to `roles`.
    pub fn inviting(mut self, roles: impl IntoIterator<Item = Role>) -> Self {
        self.invites.extend(roles);
        self
    }

    /// Allows the role to change a member's role from any of `from` to any of `to`.
    pub fn changing(
        mut self,
        from: impl IntoIterator<Item = Role>,
        to: impl IntoIterator<Item = Role>,
    ) -> Self {
        self.changes_from.extend(from);
        self.changes_to.extend(to);
        self
    }

    /// Allows the role to remove holders of `roles`.
    pub fn removing(mut self, roles: impl IntoIterator<Item = Role>) -> Self {
        self.removes.extend(roles);
        self
    }

    /// Returns the name.
    pub fn name(&self) -> &Role {
        &self.name
    }

    /// Returns the title, or the name if no title is set.
    pub fn display_name(&self) -> &str {
        self.title.as_deref().unwrap_or(self.name.as_str())
    }

    /// Returns the permissions, including those of included roles.
    pub fn permissions(&self) -> impl Iterator<Item = &str> {
        self.permissions.iter().map(String::as_str)
    }

    pub(super) fn grants(&self) -> impl Iterator<Item = &Role> {
        self.invites.iter().chain(&self.changes_to)
    }

    pub(super) fn named_roles(&self) -> impl Iterator<Item = (&'static str, &Role)> {
        let lists = [
            ("invites", &self.invites),
            ("changes_from", &self.changes_from),
            ("changes_to", &self.changes_to),
            ("removes", &self.removes),
        ];
        let listed = lists
            .into_iter()
            .flat_map(|(list, roles)| roles.iter().map(move |role| (list, role)));
        listed.chain(self.includes.iter().map(|role| ("includes", role)))
    }

    /// Checks the texts, and normalizes the title like a [`Name`].
    pub(super) fn check_texts(&mut self) -> Result<(), InvalidRoleModel> {
        if let Some(title) = &self.title {
            let title: Name = title
                .parse()
                .map_err(|problem| InvalidRoleModel::InvalidTitle {
                    role: self.name.clone(),
                    problem,
                })?;
            self.title = Some(title.into());
        }
        let is_word = |permission: &str| {
            (1..=Self::MAX_PERMISSION_LENGTH).contains(&permission.chars().count())
                && permission.chars().all(is_visible)
        };
        match self.permissions().find(|permission| !is_word(permission)) {
            Some(permission) => Err(InvalidRoleModel::InvalidPermission {
                role: self.name.clone(),
                permission: excerpt(permission, SHOWN),
            }),
            None => Ok(()),
        }
    }
}
