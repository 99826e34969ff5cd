//! Random histories: what is done in which order, said in terms that fit any state, such as "the
//! second owner" or "the newest open invitation", so that a shortened history still means something.

mod runs;

use std::fmt;

use chrono::TimeDelta;
use guestlist::{ResendPolicy, Seats};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::Union;

use crate::accounts::PEOPLE;
use crate::rules::Roles;

/// How the library is configured throughout a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    pub roles: Roles,
    /// Whether a resend replaces the older link.
    pub rotate: bool,
    /// Whether a few letters a day are all there may be.
    pub tight_limits: bool,
    /// How many seats organizations have, unless one was given its own number.
    pub seats: Option<u32>,
    /// Whether an open invitation takes a seat.
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
        /// Every operation. The last ones are time's and the worker's.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Verb {
            $($verb,)+
        }

        impl Verb {
            pub const ALL: &[Self] = &[$(Self::$verb),+];
            /// How often each is picked.
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
    10 Pass,
    3 ExpireDue,
    2 RemindDue,
    5 RecordDelivery,
    2 PurgeSessions,
    2 Settle,
    1 ForgetLetters,
}

/// Someone, by their part in the organization.
#[derive(Debug, Clone, Copy)]
pub enum Who {
    Owner(usize),
    Member(usize),
    /// The member who joined last.
    Newest,
    Anyone(usize),
}

/// An invitation, newest first.
#[derive(Debug, Clone, Copy)]
pub enum Which {
    Open(usize),
    Any(usize),
    Unknown,
}

/// A link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// One that was made for the invitation, newest first.
    Made(usize),
    /// The first that was made for it.
    First,
    /// The newest with a bit flipped.
    Flipped(usize),
    /// Signed by the same key for another audience.
    OtherAudience,
    /// Signed by another key.
    OtherKey,
    Nonsense,
}

/// The account that comes with a link.
#[derive(Debug, Clone, Copy)]
pub enum Guest {
    /// One that has the invited address, and signs in with one of its spellings.
    Invited(usize),
    /// Anyone, with an address of theirs.
    Anyone(usize),
}

/// In which circumstances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    Usual,
    WithoutTransaction,
    WithoutKeys,
}

/// One step, with more said than its verb needs; what it needs not is not looked at.
#[derive(Clone)]
pub struct Step {
    pub verb: Verb,
    pub organization: usize,
    pub actor: Who,
    pub whom: Who,
    pub which: Which,
    pub link: Link,
    pub guest: Guest,
    pub is_verified: bool,
    pub address: usize,
    pub role: usize,
    pub superseding: bool,
    pub time: TimeDelta,
    /// Whatever else there is to choose: a name, a session, a limit.
    pub choice: usize,
    /// The other rows of a bulk invite: organization, address, role, superseding.
    pub more: Vec<(usize, usize, usize, bool)>,
    pub manner: Manner,
}

impl Step {
    /// Another verb under the same circumstances.
    pub fn then(self, verb: Verb) -> Self {
        Self { verb, ..self }
    }

    /// By an owner, and by the book.
    pub fn by_owner(self) -> Self {
        let (actor, manner) = (Who::Owner(0), Manner::Usual);
        Self {
            actor,
            manner,
            ..self
        }
    }

    /// An owner invites to a role that there is.
    pub fn invites(self) -> Self {
        let role = self.role / 20 * 20 + 1 + self.role % 19;
        Self { role, ..self }.by_owner().then(Verb::Invite)
    }

    /// Of the newest invitation.
    pub fn newest(self) -> Self {
        let which = Which::Any(0);
        Self { which, ..self }
    }

    /// Who was invited comes with a link.
    pub fn comes_with(self, link: Link) -> Self {
        Self {
            link,
            guest: Guest::Invited(self.choice),
            is_verified: true,
            manner: Manner::Usual,
            ..self
        }
        .then(Verb::Accept)
    }

    pub fn waits(self, time: TimeDelta) -> Self {
        Self { time, ..self }.then(Verb::Pass)
    }
}

/// The verb alone: what the rest meant is told with the failure.
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

/// An owner invites someone who comes at once: without members little can happen.
fn joining() -> impl Strategy<Value = Vec<Step>> {
    step().prop_map(|step| {
        vec![
            step.clone().invites(),
            step.newest().comes_with(Link::Made(0)),
        ]
    })
}

/// Steps do not shrink in themselves: a short history with large numbers reads well enough, and
/// every trial costs a run on a database.
pub fn step() -> BoxedStrategy<Step> {
    let verbs = Verb::WEIGHTS.iter().zip(Verb::ALL);
    let verb = Union::new_weighted(verbs.map(|(weight, verb)| (*weight, Just(*verb))).collect());
    let people = (who(), who(), guest(), prop::bool::weighted(0.9));
    let things = (
        which(),
        link(),
        0..1000usize,
        role(),
        prop::bool::weighted(0.3),
    );
    let more = vec((0..1000usize, 0..1000usize, role(), any::<bool>()), 0..4);
    (
        verb,
        0..1000usize,
        people,
        things,
        time(),
        (0..1000usize, more, manner()),
    )
        .prop_map(
            |(verb, organization, people, things, time, (choice, more, manner))| {
                let (actor, whom, guest, is_verified) = people;
                let (which, link, address, role, superseding) = things;
                Step {
                    verb,
                    organization,
                    actor,
                    whom,
                    which,
                    link,
                    guest,
                    is_verified,
                    address,
                    role,
                    superseding,
                    time,
                    choice,
                    more,
                    manner,
                }
            },
        )
        .no_shrink()
        .boxed()
}

fn who() -> impl Strategy<Value = Who> {
    prop_oneof![
        4 => (0..4usize).prop_map(Who::Owner),
        5 => (0..8usize).prop_map(Who::Member),
        1 => Just(Who::Newest),
        2 => (0..PEOPLE.len()).prop_map(Who::Anyone),
    ]
}

fn which() -> impl Strategy<Value = Which> {
    prop_oneof![
        10 => (0..4usize).prop_map(Which::Open),
        9 => (0..10usize).prop_map(Which::Any),
        1 => Just(Which::Unknown),
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

/// A number that stands for a role; one in twenty for a role that no model has.
fn role() -> impl Strategy<Value = usize> {
    0..1000usize
}

/// Spans around what matters: the pause of a minute, a day's window, the lifetimes to the
/// microsecond.
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

fn manner() -> impl Strategy<Value = Manner> {
    prop_oneof![
        30 => Just(Manner::Usual),
        1 => Just(Manner::WithoutTransaction),
        1 => Just(Manner::WithoutKeys),
    ]
}
