//! The tables of the presets, written by hand.

use guestlist::RoleModel;

/// A role model, and what it must allow.
pub struct Preset {
    pub model: fn() -> RoleModel,
    /// The roles, lowest first.
    pub roles: &'static [&'static str],
    /// The promise in words, the permission that expresses it, and the roles that have it.
    pub permissions: &'static str,
    /// An actor's operation on a holder of a role or on an invitation to it: `yes` if allowed.
    pub operations: &'static str,
    /// An actor's change of a member's role: `yes` if allowed, `same` if nothing changes.
    pub changes: &'static str,
    /// The same for the role of an open invitation, which takes permission to grant both roles.
    pub invitation_changes: &'static str,
}

pub const FOUR_TIER: Preset = Preset {
    model: RoleModel::four_tier,
    roles: &["agent", "manager", "admin", "owner"],
    permissions: "
        handle conversations in the inbox       | conversations.handle        | agent manager admin owner
        reply                                   | inbox.reply                 | agent manager admin owner
        view own assigned conversations         | conversations.view_assigned | agent manager admin owner
        view reports                            | reports.view                | manager admin owner
        manage client records                   | clients.manage              | manager admin owner
        see all conversations                   | conversations.view_all      | manager admin owner
        configure AI assistants                 | assistants.configure        | admin owner
        configure playbooks                     | playbooks.configure         | admin owner
        configure training context              | training.configure          | admin owner
        configure settings                      | settings.configure          | admin owner
        the name of the organization, a setting | organization.rename         | admin owner
        configure channels                      | channels.configure          | admin owner
        manage users below Owner                | members.manage              | admin owner
        billing                                 | billing.manage              | owner
        add or remove Owners                    | owners.manage               | owner
        everything                              | organization.delete         | owner",
    operations: "
        actor    subject  invite  resend  revoke  remove  suspend  reinstate  transfer
        agent    agent    no      no      no      no      no       no         no
        agent    manager  no      no      no      no      no       no         no
        agent    admin    no      no      no      no      no       no         no
        agent    owner    no      no      no      no      no       no         no
        manager  agent    no      no      no      no      no       no         no
        manager  manager  no      no      no      no      no       no         no
        manager  admin    no      no      no      no      no       no         no
        manager  owner    no      no      no      no      no       no         no
        admin    agent    yes     yes     yes     yes     yes      yes        no
        admin    manager  yes     yes     yes     yes     yes      yes        no
        admin    admin    yes     yes     yes     yes     yes      yes        no
        admin    owner    no      no      no      no      no       no         no
        owner    agent    yes     yes     yes     yes     yes      yes        yes
        owner    manager  yes     yes     yes     yes     yes      yes        yes
        owner    admin    yes     yes     yes     yes     yes      yes        yes
        owner    owner    yes     yes     yes     yes     yes      yes        yes",
    changes: "
        actor    from     agent   manager admin   owner
        agent    agent    same    no      no      no
        agent    manager  no      same    no      no
        agent    admin    no      no      same    no
        agent    owner    no      no      no      same
        manager  agent    same    no      no      no
        manager  manager  no      same    no      no
        manager  admin    no      no      same    no
        manager  owner    no      no      no      same
        admin    agent    same    yes     yes     no
        admin    manager  yes     same    yes     no
        admin    admin    yes     yes     same    no
        admin    owner    no      no      no      same
        owner    agent    same    yes     yes     yes
        owner    manager  yes     same    yes     yes
        owner    admin    yes     yes     same    yes
        owner    owner    yes     yes     yes     same",
    invitation_changes: "
        actor    from     agent   manager admin   owner
        agent    agent    no      no      no      no
        agent    manager  no      no      no      no
        agent    admin    no      no      no      no
        agent    owner    no      no      no      no
        manager  agent    no      no      no      no
        manager  manager  no      no      no      no
        manager  admin    no      no      no      no
        manager  owner    no      no      no      no
        admin    agent    same    yes     yes     no
        admin    manager  yes     same    yes     no
        admin    admin    yes     yes     same    no
        admin    owner    no      no      no      no
        owner    agent    same    yes     yes     yes
        owner    manager  yes     same    yes     yes
        owner    admin    yes     yes     same    yes
        owner    owner    yes     yes     yes     same",
};

pub const TWO_ROLE: Preset = Preset {
    model: RoleModel::two_role,
    roles: &["user", "admin", "owner"],
    permissions: "
        inbox                                                       | inbox.view           | user admin owner
        leads                                                       | leads.view           | user admin owner
        reply                                                       | inbox.reply          | user admin owner
        archive                                                     | inbox.archive        | user admin owner
        block contacts                                              | contacts.block       | user admin owner
        resolve escalations                                         | escalations.resolve  | user admin owner
        pause and resume AI replies                                 | ai_replies.pause     | user admin owner
        assign and reassign                                         | conversations.assign | user admin owner
        users                                                       | members.manage       | admin owner
        roles                                                       | roles.manage         | admin owner
        billing                                                     | billing.manage       | admin owner
        AI configuration                                            | assistants.configure | admin owner
        everything                                                  | settings.configure   | admin owner
        the name of the organization, a setting                     | organization.rename  | admin owner
        the owner cannot be removed, not even with the organization | organization.delete  | owner",
    operations: "
        actor    subject  invite  resend  revoke  remove  suspend  reinstate  transfer
        user     user     no      no      no      no      no       no         no
        user     admin    no      no      no      no      no       no         no
        user     owner    no      no      no      no      no       no         no
        admin    user     yes     yes     yes     yes     yes      yes        no
        admin    admin    yes     yes     yes     yes     yes      yes        no
        admin    owner    no      no      no      no      no       no         no
        owner    user     yes     yes     yes     yes     yes      yes        yes
        owner    admin    yes     yes     yes     yes     yes      yes        yes
        owner    owner    no      no      no      no      no       no         yes",
    changes: "
        actor    from     user    admin   owner
        user     user     same    no      no
        user     admin    no      same    no
        user     owner    no      no      same
        admin    user     same    yes     no
        admin    admin    yes     same    no
        admin    owner    no      no      same
        owner    user     same    yes     no
        owner    admin    yes     same    no
        owner    owner    no      no      same",
    invitation_changes: "
        actor    from     user    admin   owner
        user     user     no      no      no
        user     admin    no      no      no
        user     owner    no      no      no
        admin    user     same    yes     no
        admin    admin    yes     same    no
        admin    owner    no      no      no
        owner    user     same    yes     no
        owner    admin    yes     same    no
        owner    owner    no      no      no",
};

/// A role model in which no role has more than one kind of list; in the presets the lists coincide.
pub const SEPARATE_LISTS: Preset = Preset {
    model: separate_lists,
    roles: &["recruiter", "sheriff", "registrar", "owner"],
    permissions: "",
    operations: "
        actor      subject    invite  resend  revoke  remove  suspend  reinstate  transfer
        recruiter  recruiter  yes     yes     yes     no      no       no         no
        recruiter  sheriff    no      no      no      no      no       no         no
        recruiter  registrar  no      no      no      no      no       no         no
        recruiter  owner      no      no      no      no      no       no         no
        sheriff    recruiter  no      no      no      yes     yes      yes        no
        sheriff    sheriff    no      no      no      no      no       no         no
        sheriff    registrar  no      no      no      no      no       no         no
        sheriff    owner      no      no      no      no      no       no         no
        registrar  recruiter  no      no      no      no      no       no         no
        registrar  sheriff    no      no      no      no      no       no         no
        registrar  registrar  no      no      no      no      no       no         no
        registrar  owner      no      no      no      no      no       no         no
        owner      recruiter  no      no      no      no      no       no         yes
        owner      sheriff    no      no      no      no      no       no         yes
        owner      registrar  no      no      no      no      no       no         yes
        owner      owner      no      no      no      no      no       no         yes",
    changes: "
        actor      from       recruiter  sheriff    registrar  owner
        recruiter  recruiter  same       no         no         no
        recruiter  sheriff    no         same       no         no
        recruiter  registrar  no         no         same       no
        recruiter  owner      no         no         no         same
        sheriff    recruiter  same       no         no         no
        sheriff    sheriff    no         same       no         no
        sheriff    registrar  no         no         same       no
        sheriff    owner      no         no         no         same
        registrar  recruiter  same       no         no         no
        registrar  sheriff    yes        same       no         no
        registrar  registrar  no         no         same       no
        registrar  owner      no         no         no         same
        owner      recruiter  same       no         no         no
        owner      sheriff    no         same       no         no
        owner      registrar  no         no         same       no
        owner      owner      no         no         no         same",
    invitation_changes: "
        actor      from       recruiter  sheriff    registrar  owner
        recruiter  recruiter  same       no         no         no
        recruiter  sheriff    no         no         no         no
        recruiter  registrar  no         no         no         no
        recruiter  owner      no         no         no         no
        sheriff    recruiter  no         no         no         no
        sheriff    sheriff    no         no         no         no
        sheriff    registrar  no         no         no         no
        sheriff    owner      no         no         no         no
        registrar  recruiter  no         no         no         no
        registrar  sheriff    no         no         no         no
        registrar  registrar  no         no         no         no
        registrar  owner      no         no         no         no
        owner      recruiter  no         no         no         no
        owner      sheriff    no         no         no         no
        owner      registrar  no         no         no         no
        owner      owner      no         no         no         no",
};

fn separate_lists() -> RoleModel {
    let text = "keeps = 'owner'
        [[role]]
        name = 'recruiter'
        invites = ['recruiter']
        [[role]]
        name = 'sheriff'
        removes = ['recruiter']
        [[role]]
        name = 'registrar'
        changes_from = ['sheriff']
        changes_to = ['recruiter']
        [[role]]
        name = 'owner'";
    RoleModel::from_toml(text).expect("valid")
}
