//! Who may do what, and who may do what to whom.

mod definition;
mod document;
mod invalid;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

pub use self::definition::RoleDefinition;
pub use self::invalid::InvalidRoleModel;
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

impl RoleModel {
    /// Agent, Manager, Admin and Owner.
    ///
    /// An Agent handles conversations in the inbox, replies and views the conversations assigned to
    /// them; a Manager also views reports, manages client records and sees all conversations; an
    /// Admin also configures AI assistants, playbooks, training context, settings and channels, and
    /// manages everyone below Owner; an Owner does everything, billing included, and only Owners add
    /// or remove Owners. The last one stays.
    pub fn four_tier() -> Self {
        Self::from_toml(include_str!("role_model/four_tier.toml"))
            .expect("the preset is valid, a test says so")
    }

    /// User and Admin under one account owner.
    ///
    /// A User works the inbox and the leads: replies, archives, blocks contacts, resolves
    /// escalations, pauses and resumes AI replies, assigns and reassigns. An Admin does everything;
    /// Admins and the owner invite, change roles and remove. The owner cannot be removed or demoted,
    /// and nobody can be made one but by a transfer. Deleting the organization, which would remove
    /// the owner with it, is the owner's alone.
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
    /// The first of the [`InvalidRoleModel`]s that holds, except for
    /// [`Malformed`](InvalidRoleModel::Malformed) and
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
    /// [`InvalidRoleModel::Malformed`] with the place in `text`,
    /// [`InvalidRoleModel::NoProtectedRole`], or what [`RoleModel::new`] refuses.
    pub fn from_toml(text: &str) -> Result<Self, InvalidRoleModel> {
        let (roles, keeps) = document::read(text)?;
        if roles.is_empty() {
            return Err(InvalidRoleModel::Empty);
        }
        Self::new(roles, keeps.ok_or(InvalidRoleModel::NoProtectedRole)?)
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
    pub fn below_kept(&self) -> &Role {
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

    fn check(&mut self) -> Result<(), InvalidRoleModel> {
        let Some(highest) = self.roles.last() else {
            return Err(InvalidRoleModel::Empty);
        };
        let highest = highest.name.clone();
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

    /// Copies the permissions of included roles and drops the references, so a check never walks.
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

/// How much of a wrong word an error shows, in characters: enough to find it.
const SHOWN: usize = 40;

fn excerpt(text: &str, longest: usize) -> String {
    match text.char_indices().nth(longest) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::Name;

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

    /// A model of roles a and b, lowest first, with more in each of them.
    fn two(of_a: &str, of_b: &str) -> Result<RoleModel, InvalidRoleModel> {
        model(&format!(
            "keeps = 'b'\n[[role]]\nname = 'a'\n{of_a}\n[[role]]\nname = 'b'\n{of_b}"
        ))
    }

    fn unknown(at: &str, named: &str) -> InvalidRoleModel {
        InvalidRoleModel::UnknownRole {
            at: at.to_owned(),
            role: role(named),
            known: vec![role("a"), role("b")],
        }
    }

    #[test]
    fn a_role_that_is_not_defined_is_refused_wherever_it_is_named() {
        for list in ["invites", "changes_from", "changes_to", "removes"] {
            let refused = two(&format!("{list} = ['x']"), "");
            assert_eq!(refused, Err(unknown(&format!("{list} of role a"), "x")));
        }
        let refused = two("", "includes = 'x'");
        assert_eq!(refused, Err(unknown("includes of role b", "x")));
        let roles = ["a", "b"].map(|name| RoleDefinition::new(role(name)));
        let refused = RoleModel::new(roles.to_vec(), role("c"));
        assert_eq!(refused, Err(unknown("keeps", "c")));
        assert_eq!(
            refused.expect_err("refused").to_string(),
            "keeps names the role c, which is not defined; the roles are a, b"
        );
    }

    #[test]
    fn a_model_without_a_role_or_a_protected_one_is_refused() {
        for text in ["", "keeps = 'a'"] {
            assert_eq!(model(text), Err(InvalidRoleModel::Empty));
        }
        assert_eq!(
            RoleModel::new(Vec::new(), role("a")),
            Err(InvalidRoleModel::Empty)
        );
        assert_eq!(
            model("[[role]]\nname = 'a'"),
            Err(InvalidRoleModel::NoProtectedRole)
        );
    }

    #[test]
    fn the_protected_role_is_the_highest() {
        let text = "keeps = 'a'\n[[role]]\nname = 'a'\n[[role]]\nname = 'b'";
        let (keeps, above) = (role("a"), role("b"));
        assert_eq!(
            model(text),
            Err(InvalidRoleModel::KeepsBelow { keeps, above })
        );
    }

    #[test]
    fn a_role_is_defined_once() {
        let text = "keeps = 'a'\n[[role]]\nname = 'a'\n[[role]]\nname = 'a'";
        assert_eq!(model(text), Err(InvalidRoleModel::Duplicate(role("a"))));
    }

    #[test]
    fn nobody_grants_or_includes_what_ranks_above_them() {
        for list in [
            "invites = ['b']",
            "changes_from = ['a']\nchanges_to = ['b']",
        ] {
            let (by, grants) = (role("a"), role("b"));
            assert_eq!(
                two(list, ""),
                Err(InvalidRoleModel::GrantsAbove { by, grants })
            );
        }
        let refused = InvalidRoleModel::IncludesAbove {
            role: role("a"),
            includes: role("b"),
        };
        assert_eq!(two("includes = 'b'", ""), Err(refused));
    }

    #[test]
    fn roles_that_include_each_other_are_named_in_a_circle() {
        let itself = two("includes = 'a'", "");
        assert_eq!(
            itself,
            Err(InvalidRoleModel::Cycle(vec![role("a"), role("a")]))
        );
        let text = "keeps = 'c'
             [[role]]\nname = 'a'\nincludes = 'b'
             [[role]]\nname = 'b'\nincludes = 'c'
             [[role]]\nname = 'c'\nincludes = 'b'";
        assert_eq!(
            model(text).expect_err("a circle").to_string(),
            "roles include each other in a circle: b includes c includes b"
        );
    }

    #[test]
    fn a_change_takes_both_of_its_lists() {
        for (list, missing) in [
            ("changes_from", "changes_to"),
            ("changes_to", "changes_from"),
        ] {
            let role = role("b");
            assert_eq!(
                two("", &format!("{list} = ['a']")),
                Err(InvalidRoleModel::HalfChange { role, missing })
            );
        }
    }

    #[test]
    fn a_permission_is_one_word_that_can_be_seen() {
        let permitting = |permission: &str| {
            let only = RoleDefinition::new(role("a")).permitting([permission]);
            RoleModel::new(vec![only], role("a"))
        };
        for accepted in [
            "x",
            "inbox.reply",
            "a:b/c-d_e",
            "größe.ändern",
            &"x".repeat(100),
        ] {
            permitting(accepted).expect(accepted);
        }
        for refused in [
            "",
            " ",
            "a b",
            "a\tb",
            "a\n",
            "\0",
            "a\u{200b}b",
            "a\u{202e}b",
            "\u{3164}",
            "\u{a0}",
        ] {
            let named = InvalidRoleModel::InvalidPermission {
                role: role("a"),
                permission: refused.to_owned(),
            };
            assert_eq!(permitting(refused), Err(named));
        }
        let long = permitting(&"x".repeat(101)).expect_err("too long");
        assert!(long.to_string().contains("\"xxx"), "{long}");
        assert!(long.to_string().len() < 200, "{long}");
    }

    #[test]
    fn a_title_is_held_to_the_rules_of_a_name() {
        let titled = |title: &str| {
            let only = RoleDefinition::new(role("a")).title(title);
            RoleModel::new(vec![only], role("a"))
        };
        for refused in ["", "  ", "a\r\nBcc: x", "a\u{202e}b", "bank.example"] {
            let problem = refused.parse::<Name>().expect_err(refused);
            let role = role("a");
            let named = InvalidRoleModel::InvalidTitle { role, problem };
            assert_eq!(titled(refused), Err(named));
        }
        titled(&"x".repeat(100)).expect("long enough");
        titled(&"x".repeat(101)).expect_err("too long");
        let spaced = titled(" Head of Support ").expect("a title");
        assert_eq!(
            spaced.roles()[0].display_name(),
            "Head of Support",
            "as a name is kept"
        );
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
