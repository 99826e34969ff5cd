//! The errors of a role model.

use crate::name::InvalidName;
use crate::role::Role;

/// The reason why roles do not make a model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidRoleModel {
    /// The text is not TOML, or not of the expected shape.
    #[error("line {line}, column {column}: {problem}")]
    Malformed {
        /// The line, from 1.
        line: usize,
        /// The column in characters, from 1.
        column: usize,
        /// The mistake.
        problem: String,
    },
    /// There is no role.
    #[error("there is no [[role]]; a role model has at least one role")]
    Empty,
    /// There are more than [`RoleModel::MAX_ROLES`](crate::RoleModel::MAX_ROLES) roles.
    #[error("there are {0} roles; a role model has at most {max}", max = crate::RoleModel::MAX_ROLES)]
    TooMany(usize),
    /// No role is named as the owner role.
    #[error("no role is protected; `keeps` names the role that at least one member always has")]
    NoProtectedRole,
    /// Two roles share a name.
    #[error("role {0} is defined twice")]
    Duplicate(Role),
    /// A list, `includes` or `keeps` names a role that is not defined.
    #[error(
        "{at} names the role {role}, which is not defined; the roles are {}",
        listed(known)
    )]
    UnknownRole {
        /// The list that names it.
        at: String,
        /// The role it names.
        role: Role,
        /// The existing roles, lowest first.
        known: Vec<Role>,
    },
    /// Roles include each other in a circle; the last one listed is the first one again.
    #[error("roles include each other in a circle: {}", joined(.0, " includes "))]
    Cycle(Vec<Role>),
    /// A role includes one that ranks above it, so a member that may grant the lower role would
    /// grant the permissions of the higher one.
    #[error("role {role} includes {includes}, which ranks above it; the lowest role comes first")]
    IncludesAbove {
        /// The role that includes.
        role: Role,
        /// The role it includes.
        includes: Role,
    },
    /// The owner role is not the highest, so its last holder could be raised above it.
    #[error(
        "role {keeps} must always have a holder, but role {above} ranks above it; the highest role comes last"
    )]
    KeepsBelow {
        /// The owner role.
        keeps: Role,
        /// The highest role.
        above: Role,
    },
    /// A role may grant one that ranks above it.
    #[error("role {by} may grant {grants}, which ranks above it; the lowest role comes first")]
    GrantsAbove {
        /// The role that grants.
        by: Role,
        /// The role it grants.
        grants: Role,
    },
    /// A role has only one of the two lists for changing roles.
    #[error("role {role} can change no roles, because {missing} is missing; both lists are needed")]
    HalfChange {
        /// The role that changes others.
        role: Role,
        /// The missing list: `changes_from` or `changes_to`.
        missing: &'static str,
    },
    /// A permission is empty, too long, or has spaces or invisible characters.
    #[error(
        "role {role} has the permission {permission:?}; a permission is 1 to 100 visible characters without spaces"
    )]
    InvalidPermission {
        /// The role with the permission.
        role: Role,
        /// The permission, shortened if it is long.
        permission: String,
    },
    /// A title cannot be shown in letters.
    #[error("the title of role {role} cannot be shown in letters: {problem}")]
    InvalidTitle {
        /// The role with the title.
        role: Role,
        /// The reason.
        problem: InvalidName,
    },
}

fn listed(roles: &[Role]) -> String {
    joined(roles, ", ")
}

fn joined(roles: &[Role], separator: &str) -> String {
    let names: Vec<_> = roles.iter().map(Role::as_str).collect();
    names.join(separator)
}
