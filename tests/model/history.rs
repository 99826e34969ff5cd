//! Generates random histories. Steps refer to the state in relative terms, such as "the second
//! owner" or "the newest open invitation", so that a shortened history still makes sense.

mod runs;

use std::fmt;

use chrono::TimeDelta;
use guestlist::{ResendPolicy, Seats};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::Union;

use crate::accounts::ACCOUNTS;
use crate::rules::Roles;

/// The configuration of the library during a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    pub roles: Roles,
    /// A resend replaces the older link.
    pub rotate: bool,
    /// Only a few letters a day are allowed.
    pub tight_limits: bool,
    /// The seats of an organization unless the host gave it its own number.
    pub seats: Option<u32>,
    /// An open invitation takes a seat.
    pub pending_takes_a_seat: bool,
    pub lifetime: TimeDelta,
}

impl Settings {
    pub fn seats(self) -> Seats {
        let seats = self.seats.map_or_else(Seats::unlimited, Seats::at_most);
        if self.pending_takes_a_seat {
            seats
        } else {
            seats.without_pending()
        }
    }

    pub fn resend_policy(self) -> ResendPolicy {
        if self.rotate {
            ResendPolicy::Rotate
        } else {
            ResendPolicy::Keep
        }
    }
}

macro_rules! verbs {
    ($($weight:literal $verb:ident,)+) => {
        /// Every operation. The last ones advance time or belong to the worker.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Verb {
            $($verb,)+
        }

        impl Verb {
            pub const ALL: &[Self] = &[$(Self::$verb),+];
            /// The weight of each verb in the random choice.
            const WEIGHTS: &[u32] = &[$($weight),+];
        }
    };
}

verbs! {
    1 Create,
    2 Rename,
    1 Delete,
    18 Invite,
    4 InviteAll,
    9 Resend,
    5 Revoke,
    3 ShowLink,
    6 ChangeInvitationRole,
    3 Open,
    16 Accept,
    5 Decline,
    9 ChangeRole,
    4 TransferOwnership,
    5 Remove,
    5 Leave,
    6 Suspend,
    5 Reinstate,
    3 SetSeats,
    2 ForgetUser,
    5 RecordSession,
    2 ForgetSession,
    10 AdvanceTime,
    3 ExpireDue,
    2 RemindDue,
    5 RecordDelivery,
    2 PurgeSessions,
    2 Settle,
    1 ForgetLetters,
}

/// A choice of an account by its part in the organization.
#[derive(Debug, Clone, Copy)]
pub enum MemberChoice {
    Owner(usize),
    Member(usize),
    /// The newest member.
    Newest,
    Anyone(usize),
    /// The host; only ever an actor.
    Host,
    /// An operator; only ever an actor.
    Operator,
}

/// A choice of an invitation; indexes count from the newest.
#[derive(Debug, Clone, Copy)]
pub enum InvitationChoice {
    Open(usize),
    Any(usize),
    Unknown,
}

/// A choice of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// A link made for the invitation; the index counts from the newest.
    Made(usize),
    /// The first link made for the invitation.
    First,
    /// The newest link with one bit flipped.
    Flipped(usize),
    /// A link signed by the same key for another audience.
    OtherAudience,
    /// A link signed by another key.
    OtherKey,
    Nonsense,
}

/// The account that presents a link.
#[derive(Debug, Clone, Copy)]
pub enum Guest {
    /// An account that has the invited address and signs in with one of its spellings.
    Invited(usize),
    /// Any account, with one of its addresses.
    Anyone(usize),
}

/// The conditions under which the operation is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conditions {
    Usual,
    WithoutTransaction,
    WithoutKeys,
}

/// One step. It has values for every verb; each verb uses only those it needs.
#[derive(Clone)]
pub struct Step {
    pub verb: Verb,
    pub organization: usize,
    pub actor: MemberChoice,
    pub target: MemberChoice,
    pub invitation: InvitationChoice,
    pub link: Link,
    pub guest: Guest,
    pub is_verified: bool,
    pub address: usize,
    pub role: usize,
    pub superseding: bool,
    pub time: TimeDelta,
    /// A number for any other choice: a name, a session, a limit.
    pub choice: usize,
    /// The other rows of a bulk invite: organization, address, role, superseding.
    pub more: Vec<(usize, usize, usize, bool)>,
    pub conditions: Conditions,
}

impl Step {
    /// Changes the verb and keeps everything else.
    pub fn then(self, verb: Verb) -> Self {
        Self { verb, ..self }
    }

    /// An owner acts, in a transaction and with keys.
    pub fn by_owner(self) -> Self {
        let (actor, conditions) = (MemberChoice::Owner(0), Conditions::Usual);
        Self {
            actor,
            conditions,
            ..self
        }
    }

    /// An owner invites someone to a role of the role model.
    pub fn invites(self) -> Self {
        let role = self.role / 20 * 20 + 1 + self.role % 19;
        Self { role, ..self }.by_owner().then(Verb::Invite)
    }

    /// The newest invitation is meant.
    pub fn newest(self) -> Self {
        let invitation = InvitationChoice::Any(0);
        Self { invitation, ..self }
    }

    /// The invited account accepts with a link.
    pub fn comes_with(self, link: Link) -> Self {
        Self {
            link,
            guest: Guest::Invited(self.choice),
            is_verified: true,
            conditions: Conditions::Usual,
            ..self
        }
        .then(Verb::Accept)
    }

    pub fn waits(self, time: TimeDelta) -> Self {
        Self { time, ..self }.then(Verb::AdvanceTime)
    }
}

/// Prints the verb alone; the failure message lists the resolved operations.
impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.verb, f)
    }
}

pub fn history() -> impl Strategy<Value = (Settings, Vec<Step>)> {
    let run =
        prop_oneof![12 => step().prop_map(|step| vec![step]), 2 => joining(), 3 => runs::run()];
    let steps = vec(run, 1..=50);
    (settings(), steps.prop_map(|runs| runs.concat()))
}

fn settings() -> impl Strategy<Value = Settings> {
    let roles = select(vec![Roles::FourTier, Roles::TwoRole, Roles::Divided]);
    let seats = select(vec![None, None, Some(3), Some(4)]);
    let lifetime = select(vec![TimeDelta::days(7), TimeDelta::days(1)]);
    let choices = (any::<bool>(), prop::bool::weighted(0.3), any::<bool>());
    (roles, seats, lifetime, choices).prop_map(|(roles, seats, lifetime, choices)| {
        let (rotate, tight_limits, pending_takes_a_seat) = choices;
        Settings {
            roles,
            rotate,
            tight_limits,
            seats,
            pending_takes_a_seat,
            lifetime,
        }
    })
}

/// An owner invites an account that joins at once: without members little can happen.
fn joining() -> impl Strategy<Value = Vec<Step>> {
    step().prop_map(|step| {
        vec![
            step.clone().invites(),
            step.newest().comes_with(Link::Made(0)),
        ]
    })
}

/// Steps do not shrink themselves: a short history with large numbers is readable enough, and every
/// attempt costs a run on a database.
pub fn step() -> BoxedStrategy<Step> {
    let verbs = Verb::WEIGHTS.iter().zip(Verb::ALL);
    let verb = Union::new_weighted(verbs.map(|(weight, verb)| (*weight, Just(*verb))).collect());
    let accounts = (
        actor_choice(),
        member_choice(),
        guest(),
        prop::bool::weighted(0.9),
    );
    let things = (
        invitation_choice(),
        link(),
        0..1000usize,
        role(),
        prop::bool::weighted(0.3),
    );
    let more = vec((0..1000usize, 0..1000usize, role(), any::<bool>()), 0..4);
    (
        verb,
        0..1000usize,
        accounts,
        things,
        time(),
        (0..1000usize, more, conditions()),
    )
        .prop_map(
            |(verb, organization, accounts, things, time, (choice, more, conditions))| {
                let (actor, target, guest, is_verified) = accounts;
                let (invitation, link, address, role, superseding) = things;
                Step {
                    verb,
                    organization,
                    actor,
                    target,
                    invitation,
                    link,
                    guest,
                    is_verified,
                    address,
                    role,
                    superseding,
                    time,
                    choice,
                    more,
                    conditions,
                }
            },
        )
        .no_shrink()
        .boxed()
}

fn member_choice() -> impl Strategy<Value = MemberChoice> {
    prop_oneof![
        4 => (0..4usize).prop_map(MemberChoice::Owner),
        5 => (0..8usize).prop_map(MemberChoice::Member),
        1 => Just(MemberChoice::Newest),
        2 => (0..ACCOUNTS.len()).prop_map(MemberChoice::Anyone),
    ]
}

fn actor_choice() -> impl Strategy<Value = MemberChoice> {
    prop_oneof![
        10 => member_choice(),
        1 => Just(MemberChoice::Host),
        1 => Just(MemberChoice::Operator),
    ]
}

fn invitation_choice() -> impl Strategy<Value = InvitationChoice> {
    prop_oneof![
        10 => (0..4usize).prop_map(InvitationChoice::Open),
        9 => (0..10usize).prop_map(InvitationChoice::Any),
        1 => Just(InvitationChoice::Unknown),
    ]
}

fn link() -> impl Strategy<Value = Link> {
    prop_oneof![
        20 => Just(Link::Made(0)),
        5 => (0..12usize).prop_map(Link::Made),
        3 => Just(Link::First),
        1 => (0..1000usize).prop_map(Link::Flipped),
        1 => Just(Link::OtherAudience),
        1 => Just(Link::OtherKey),
        1 => Just(Link::Nonsense),
    ]
}

fn guest() -> impl Strategy<Value = Guest> {
    prop_oneof![
        8 => (0..4usize).prop_map(Guest::Invited),
        2 => (0..1000usize).prop_map(Guest::Anyone),
    ]
}

/// A number that selects a role; one in twenty selects a role that no role model has.
fn role() -> impl Strategy<Value = usize> {
    0..1000usize
}

/// Time spans around the limits that matter: the pause of a minute, a day's window, the lifetimes
/// to the microsecond.
fn time() -> impl Strategy<Value = TimeDelta> {
    select(vec![
        TimeDelta::microseconds(1),
        TimeDelta::seconds(1),
        TimeDelta::seconds(59),
        TimeDelta::minutes(1),
        TimeDelta::hours(5),
        TimeDelta::days(1) - TimeDelta::microseconds(1),
        TimeDelta::days(1),
        TimeDelta::days(3),
        TimeDelta::days(7) - TimeDelta::microseconds(1),
        TimeDelta::days(7),
    ])
}

fn conditions() -> impl Strategy<Value = Conditions> {
    prop_oneof![
        30 => Just(Conditions::Usual),
        1 => Just(Conditions::WithoutTransaction),
        1 => Just(Conditions::WithoutKeys),
    ]
}
