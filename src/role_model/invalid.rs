//! What is wrong with a role model.

use crate::name::InvalidName;
use crate::role::Role;

/// Why roles do not make a model.
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
        /// What is wrong there.
        problem: String,
    },
    /// There is no role at all.
    #[error("there is no [[role]]; a role model has at least one role")]
    Empty,
    /// No role is the one that always has a holder.
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
        /// Where it is named.
        at: String,
        /// What is named.
        role: Role,
        /// The roles there are, lowest first.
        known: Vec<Role>,
    },
    /// Roles include each other in a circle, of which the last is the first.
    #[error("roles include each other in a circle: {}", joined(.0, " includes "))]
    Cycle(Vec<Role>),
    /// A role includes one that ranks above it, so who may grant the lower would give away the higher.
    #[error("role {role} includes {includes}, which ranks above it; the lowest role comes first")]
    IncludesAbove {
        /// The role that includes.
        role: Role,
        /// The role it includes.
        includes: Role,
    },
    /// The role that keeps a holder is not the highest, so its last holder could rise above it.
    #[error(
        "role {keeps} keeps a holder, but role {above} ranks above it; the highest role comes last"
    )]
    KeepsBelow {
        /// The role that keeps a holder.
        keeps: Role,
        /// The highest role.
        above: Role,
    },
    /// A role may grant what ranks above it.
    #[error("role {by} may grant {grants}, which ranks above it; the lowest role comes first")]
    GrantsAbove {
        /// The role that grants.
        by: Role,
        /// The role it grants.
        grants: Role,
    },
    /// A role may change members' roles from something to nothing, or from nothing to something.
    #[error("role {role} changes nobody's role, because {missing} is missing; it takes both lists")]
    HalfChange {
        /// The role that changes others.
        role: Role,
        /// The list it lacks: `changes_from` or `changes_to`.
        missing: &'static str,
    },
    /// A permission is empty, too long, or has spaces or characters that nobody sees.
    #[error(
        "role {role} has the permission {permission:?}; a permission is 1 to 100 visible characters without spaces"
    )]
    InvalidPermission {
        /// The role that has it.
        role: Role,
        /// The permission, cut short where it is long.
        permission: String,
    },
    /// A title is not fit for letters.
    #[error("letters carry titles, and that of role {role} is not fit for one: {problem}")]
    InvalidTitle {
        /// The role that has it.
        role: Role,
        /// What is wrong with it.
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
