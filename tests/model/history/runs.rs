//! Short sequences of steps that chance alone would rarely produce.

use chrono::TimeDelta;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::{Conditions, InvitationChoice, Link, MemberChoice, Step, Verb, step};

pub fn run() -> BoxedStrategy<Vec<Step>> {
    prop_oneof![
        4 => lapsing(),
        4 => renewing(),
        3 => inviting_again(),
        5 => suspending(),
        5 => losing_the_permission(),
        3 => filling_the_seats(),
        3 => lacking(),
        1 => replacing_often(),
    ]
    .boxed()
}

/// An invitation expires, and a step that concerns it follows.
fn lapsing() -> impl Strategy<Value = Vec<Step>> {
    let late = [
        Verb::Open,
        Verb::Accept,
        Verb::Decline,
        Verb::Revoke,
        Verb::Resend,
        Verb::ShowLink,
        Verb::ChangeInvitationRole,
        Verb::Invite,
        Verb::ForgetUser,
    ];
    (step(), any::<bool>(), select(late.to_vec())).prop_map(|(step, is_swept, late)| {
        let step = step.newest().by_owner();
        let mut steps = vec![
            step.clone().invites(),
            step.clone().waits(TimeDelta::days(7)),
        ];
        if is_swept {
            steps.push(step.clone().then(Verb::ExpireDue));
        }
        steps.push(step.comes_with(Link::Made(0)).by_owner().then(late));
        steps
    })
}

/// An invitation is sent again, and the first letter's link is tried.
fn renewing() -> impl Strategy<Value = Vec<Step>> {
    let wait = select(vec![TimeDelta::minutes(1), TimeDelta::days(7)]);
    let tried = select(vec![Verb::Open, Verb::Accept, Verb::Decline]);
    (step(), wait, tried).prop_map(|(step, wait, tried)| {
        let step = step.newest().by_owner();
        vec![
            step.clone().invites(),
            step.clone().waits(wait),
            step.clone().then(Verb::Resend),
            step.comes_with(Link::First).then(tried),
        ]
    })
}

/// An address is invited again after its first invitation expired; then the first one is resent.
fn inviting_again() -> impl Strategy<Value = Vec<Step>> {
    (step(), any::<bool>()).prop_map(|(step, is_joined)| {
        let step = step.newest().by_owner();
        let mut steps = vec![
            step.clone().invites(),
            step.clone().waits(TimeDelta::days(7)),
            step.clone().invites(),
        ];
        if is_joined {
            steps.push(step.clone().comes_with(Link::Made(0)));
        }
        let invitation = InvitationChoice::Any(1);
        steps.push(Step { invitation, ..step }.then(Verb::Resend));
        steps
    })
}

/// A member is suspended, and other steps concern them meanwhile.
fn suspending() -> impl Strategy<Value = Vec<Step>> {
    let around = [
        Verb::TransferOwnership,
        Verb::Reinstate,
        Verb::RecordSession,
        Verb::ChangeRole,
        Verb::Remove,
        Verb::Invite,
        Verb::Accept,
        Verb::SetSeats,
        Verb::ForgetUser,
    ];
    (step(), vec(select(around.to_vec()), 1..4)).prop_map(|(step, around)| {
        let step = step.newest().by_owner();
        let suspended = step.clone().then(Verb::Suspend);
        let back = step.clone().then(Verb::Reinstate);
        let around = around.into_iter().map(|verb| step.clone().then(verb));
        [suspended]
            .into_iter()
            .chain(around)
            .chain([back])
            .collect()
    })
}

/// Numbers that select the same kind of role in each role model: the highest one, and one below it
/// that may invite to its own level.
const OWNER_IN_ALL: usize = 59;
const INVITER_IN_ALL: usize = 46;

/// A member joins and invites another account, and may lose the permission to do so before that
/// account accepts, unless an owner adopted the invitation.
fn losing_the_permission() -> impl Strategy<Value = Vec<Step>> {
    let losses = [
        Verb::Remove,
        Verb::Suspend,
        Verb::ChangeRole,
        Verb::Leave,
        Verb::TransferOwnership,
        Verb::ForgetSession,
    ];
    let roles = select(vec![OWNER_IN_ALL, INVITER_IN_ALL]);
    let adoptions = [Verb::Open, Verb::Resend, Verb::ChangeInvitationRole];
    let verbs = (select(losses.to_vec()), select(adoptions.to_vec()));
    (step(), step(), roles, verbs).prop_map(|(step, other, role, (loss, adoption))| {
        let (step, other) = (step.newest(), other.newest());
        let organization = step.organization;
        let inviter = MemberChoice::Newest;
        let invite = Step {
            organization,
            actor: inviter,
            ..other.clone().invites()
        };
        let actor = match loss {
            Verb::Leave | Verb::TransferOwnership => inviter,
            _ => MemberChoice::Owner(0),
        };
        let losing = Step {
            organization,
            target: inviter,
            ..other.clone().by_owner()
        };
        vec![
            step.clone().waits(TimeDelta::minutes(1)),
            Step {
                role,
                ..step.clone().invites()
            },
            step.comes_with(Link::Made(0)),
            invite,
            Step { actor, ..losing }.then(loss),
            other.clone().waits(TimeDelta::minutes(1)),
            other.clone().by_owner().then(adoption),
            other.comes_with(Link::Made(0)),
        ]
    })
}

/// An organization gets fewer seats than it needs.
fn filling_the_seats() -> impl Strategy<Value = Vec<Step>> {
    let crowd = [Verb::Invite, Verb::Resend, Verb::Accept, Verb::Reinstate];
    (step(), 1..4usize, select(crowd.to_vec())).prop_map(|(step, seats, crowd)| {
        let step = step.newest().by_owner();
        let choice = seats;
        let seats = Step {
            choice,
            ..step.clone()
        }
        .then(Verb::SetSeats);
        let wait = TimeDelta::days(if crowd == Verb::Accept { 0 } else { 7 });
        vec![
            step.clone().invites(),
            step.clone().waits(wait),
            step.clone().then(Verb::Suspend),
            seats,
            step.comes_with(Link::Made(0)).by_owner().then(crowd),
        ]
    })
}

/// A host calls without a transaction, or has no keys.
fn lacking() -> impl Strategy<Value = Vec<Step>> {
    let conditions = select(vec![
        Conditions::WithoutTransaction,
        Conditions::WithoutKeys,
    ]);
    (step(), select(Verb::ALL.to_vec()), conditions).prop_map(|(step, verb, conditions)| {
        let step = step.newest().by_owner();
        let lacking = Step {
            conditions,
            ..step.clone()
        }
        .then(verb);
        vec![step.invites(), lacking]
    })
}

/// A link is replaced more often than the library remembers.
fn replacing_often() -> impl Strategy<Value = Vec<Step>> {
    (step(), 7..10usize).prop_map(|(step, times)| {
        let step = step.newest().by_owner();
        let mut steps = vec![step.clone().invites()];
        for _ in 0..times {
            steps.push(step.clone().waits(TimeDelta::days(7)));
            steps.push(step.clone().then(Verb::Resend));
        }
        steps.push(step.comes_with(Link::First).then(Verb::Open));
        steps
    })
}
