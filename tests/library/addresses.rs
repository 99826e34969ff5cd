//! Addresses: which texts are valid, which are equal, and which account may accept for which.

#[path = "addresses/classes.rs"]
mod classes;

use guestlist::{EmailAddress, Error, Status, User};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use unicode_normalization::UnicodeNormalization;

use self::classes::CLASSES;
use crate::on_both_databases;
use crate::strategies::{foldable, near_valid, odd_character, typed};
use crate::strength::rounds;
use crate::support::{OLIVIA, user};

#[test]
fn published_address_examples_are_decided_as_listed() {
    for class in CLASSES {
        assert!(class.examples.len() > 1 && !class.why.is_empty());
        for example in class.examples {
            let parsed = example.parse::<EmailAddress>();
            assert_eq!(
                parsed.is_ok(),
                class.is_accepted,
                "{}: {example:?}: {parsed:?}",
                class.name
            );
        }
    }
}

/// The longest label (RFC 1035 section 2.3.4).
const L63: &str = "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijk";

#[test]
fn the_longest_lengths_are_kept_and_one_more_is_refused() {
    let local = "l".repeat(64);
    let domain = |length: usize| format!("{}.{L63}.{L63}", "a".repeat(length - 128));
    for (text, is_accepted) in [
        (format!("{local}@b.co"), true),
        (format!("{local}l@b.co"), false),
        (format!("{}@b.co", "é".repeat(32)), true),
        (format!("{}a@b.co", "é".repeat(32)), false),
        (format!("{local}@{}", domain(189)), true),
        (format!("{local}@{}", domain(190)), false),
        (format!("a@{L63}.co"), true),
        (format!("a@{L63}x.co"), false),
        ("a".repeat(1 << 20), false),
        (
            format!("{}@{}", "a".repeat(1 << 20), "b".repeat(1 << 20)),
            false,
        ),
    ] {
        let parsed = text.parse::<EmailAddress>();
        assert_eq!(
            parsed.is_ok(),
            is_accepted,
            "{} bytes: {parsed:?}",
            text.len()
        );
    }
}

fn check<S: Strategy>(strategy: S, test: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let cases = rounds(2_000, 200_000);
    let config = Config {
        cases,
        max_global_rejects: cases * 200,
        failure_persistence: None,
        ..Config::default()
    };
    TestRunner::new(config)
        .run(&strategy, test)
        .unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn typed_text_is_refused_or_one_plain_address() {
    check(typed(), |text| {
        let Ok(address) = text.parse::<EmailAddress>() else {
            return Ok(());
        };
        let written = address.as_str();
        prop_assert!((1..=64).contains(&address.local_part().len()));
        prop_assert!(written.len() <= 254);
        prop_assert_eq!(written.matches('@').count(), 1);
        prop_assert_eq!(
            written,
            format!("{}@{}", address.local_part(), address.domain())
        );
        let hostile = |c: char| c.is_control() || c.is_whitespace() || "<>()[]\\,;:\"".contains(c);
        prop_assert!(!written.contains(hostile), "{written:?}");
        prop_assert!(
            address
                .domain()
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b))
        );
        prop_assert!(address.domain().split('.').count() > 1);
        let again = written.parse::<EmailAddress>();
        prop_assert_eq!(
            again.as_ref(),
            Ok(&address),
            "parsing again changes nothing"
        );
        let json = serde_json::to_string(&address).unwrap();
        prop_assert_eq!(
            &serde_json::from_str::<EmailAddress>(&json).unwrap(),
            &address
        );
        // A small letter can take more bytes than the capital, so the canonical form may be too
        // long.
        if let Ok(canonical) = address.canonical().parse::<EmailAddress>() {
            prop_assert_eq!(canonical.canonical(), address.canonical());
            prop_assert_eq!(canonical.as_str(), address.canonical());
        }
        Ok(())
    });
}

/// True if two letters are the two cases of one letter and no third letter folds to it.
fn are_one_letter(one: char, other: char) -> bool {
    let pair =
        |big: char, small: char| big.to_lowercase().eq([small]) && small.to_uppercase().eq([big]);
    one == other || pair(one, other) || pair(other, one)
}

/// Decomposes the text, except for characters that only stand for another one.
fn parts(text: &str) -> Vec<char> {
    text.chars()
        .flat_map(|c| {
            let parts: Vec<char> = std::iter::once(c).nfd().collect();
            if parts.len() == 1 { vec![c] } else { parts }
        })
        .nfd_order()
}

/// Sorts marks into the canonical order without replacing any.
trait CanonicalOrder: Iterator<Item = char> + Sized {
    fn nfd_order(self) -> Vec<char> {
        let mut ordered: Vec<char> = self.collect();
        let class = unicode_normalization::char::canonical_combining_class;
        for end in 1..ordered.len() {
            let mut at = end;
            while at > 0 && class(ordered[at]) > 0 && class(ordered[at - 1]) > class(ordered[at]) {
                ordered.swap(at, at - 1);
                at -= 1;
            }
        }
        ordered
    }
}

impl<I: Iterator<Item = char>> CanonicalOrder for I {}

#[test]
fn only_case_and_normalization_make_addresses_equal() {
    let changed = (
        foldable(),
        prop::collection::vec(
            (any::<prop::sample::Index>(), 0..6_u8, odd_character()),
            1..4,
        ),
    );
    check(changed, |(text, changes)| {
        let Ok(address) = text.parse::<EmailAddress>() else {
            return Ok(());
        };
        let mut other = address.local_part().to_owned();
        for (at, how, odd) in changes {
            let Some((start, c)) = other
                .char_indices()
                .nth(at.index(other.chars().count().max(1)))
            else {
                break;
            };
            let changed = match how {
                0 => c.to_uppercase().collect(),
                1 => c.to_lowercase().collect(),
                2 => std::iter::once(c).nfkd().collect(),
                3 => look_alike(c).to_string(),
                4 => c.to_string().to_uppercase().to_lowercase(),
                _ => odd.to_string(),
            };
            other.replace_range(start..start + c.len_utf8(), &changed);
        }
        let spelled = format!("{other}@{}", address.domain());
        let Ok(spelled) = spelled.parse::<EmailAddress>() else {
            return Ok(());
        };
        if spelled.canonical() == address.canonical() {
            let (one, two) = (parts(address.local_part()), parts(&other));
            prop_assert!(
                one.len() == two.len()
                    && one
                        .iter()
                        .zip(&two)
                        .all(|(one, two)| are_one_letter(*one, *two)),
                "{address} and {other:?} are one invitee"
            );
        }
        Ok(())
    });
}

fn look_alike(c: char) -> char {
    const PAIRS: [(char, char); 14] = [
        ('k', '\u{212a}'),
        ('K', '\u{212a}'),
        ('s', 'ſ'),
        ('S', 'ſ'),
        ('i', 'ı'),
        ('I', 'İ'),
        ('σ', 'ς'),
        ('Σ', 'ς'),
        ('ß', 'ẞ'),
        ('å', '\u{212b}'),
        ('a', 'а'),
        ('o', 'ο'),
        ('μ', 'µ'),
        ('θ', 'ϑ'),
    ];
    PAIRS
        .iter()
        .find(|(one, _)| *one == c)
        .map_or(c, |(_, other)| *other)
}

#[test]
fn case_normalization_and_idna_keep_the_invitee() {
    let spelled = (near_valid(), any::<u64>());
    check(spelled, |(text, choices)| {
        let Ok(address) = text.parse::<EmailAddress>() else {
            return Ok(());
        };
        let mut choices = choices;
        let mut choose = || {
            choices = choices.rotate_right(1);
            choices & 1 == 1
        };
        let in_some_case = |c: char, big: bool| {
            if big {
                c.to_ascii_uppercase()
            } else {
                c.to_ascii_lowercase()
            }
        };
        let local: String = address
            .local_part()
            .chars()
            .map(|c| in_some_case(c, choose()))
            .collect();
        let local: String = if choose() {
            local.nfd().collect()
        } else {
            local
        };
        let domain = if choose() {
            idna::domain_to_unicode(address.domain()).0
        } else {
            address.domain().to_owned()
        };
        let domain: String = domain.chars().map(|c| in_some_case(c, choose())).collect();
        let domain = if choose() {
            domain.replace('.', "\u{3002}")
        } else {
            domain
        };
        let spelled = format!(" {local}@{domain} ");
        let again = spelled.parse::<EmailAddress>();
        prop_assert!(again.is_ok(), "{address} as {spelled:?}: {again:?}");
        prop_assert_eq!(again.unwrap().canonical(), address.canonical());
        Ok(())
    });
}

/// Pairs of addresses that some software treats as equal although a mail server may not.
const LOOK_ALIKES: &[(&str, &str)] = &[
    ("mike@b.co", "m\u{131}ke@b.co"),
    ("MIKE@b.co", "m\u{131}ke@b.co"),
    ("mike@b.co", "m\u{130}ke@b.co"),
    ("\u{131}da@b.co", "\u{130}da@b.co"),
    ("susan@b.co", "\u{17f}usan@b.co"),
    ("SUSAN@b.co", "\u{17f}usan@b.co"),
    ("strasse@b.co", "stra\u{df}e@b.co"),
    ("STRASSE@b.co", "stra\u{df}e@b.co"),
    ("stra\u{df}e@b.co", "STRA\u{1e9e}E@b.co"),
    ("\u{3b1}\u{3c3}@b.co", "\u{3b1}\u{3c2}@b.co"),
    ("\u{391}\u{3a3}@b.co", "\u{3b1}\u{3c2}@b.co"),
    ("\u{3bc}@b.co", "\u{b5}@b.co"),
    ("\u{39c}@b.co", "\u{b5}@b.co"),
    ("\u{3b8}@b.co", "\u{3f4}@b.co"),
    ("admin@b.co", "\u{430}dmin@b.co"),
    ("admin@b.co", "\u{ff41}dmin@b.co"),
    ("fine@b.co", "\u{fb01}ne@b.co"),
    ("resume@b.co", "r\u{e9}sum\u{e9}@b.co"),
    ("a@strasse.example", "a@stra\u{df}e.example"),
    ("a@bank.example", "a@b\u{430}nk.example"),
    ("a@b.co", "a@b.com"),
    ("a.b@c.co", "ab@c.co"),
    ("a@b.co", "a+x@b.co"),
];

const SAME: &[(&str, &str)] = &[
    ("mike@b.co", "MIKE@B.CO"),
    ("m\u{fc}ller@b.co", "MU\u{308}LLER@b.co"),
    ("\u{3b1}\u{3c3}\u{3b1}@b.co", "\u{391}\u{3a3}\u{391}@b.co"),
    ("\u{431}@b.co", "\u{411}@b.co"),
    ("i\u{32c}\u{307}@b.co", "I\u{32c}\u{307}@b.co"),
    ("i\u{307}@b.co", "\u{130}@b.co"),
    ("a@m\u{fc}ller.example", "a@xn--mller-kva.example"),
    ("a@b\u{3002}co", "a@b.co"),
    // The encodings of a domain name are equal: every resolver maps them before a query.
    ("a@\u{212a}iwi.example", "a@kiwi.example"),
];

on_both_databases! {
    async fn look_alike_address_is_another_invitee(team: Team) {
        for (invited, alike) in LOOK_ALIKES {
            let invitations = [team.invite(OLIVIA, invited, "agent").await.unwrap(), team.invite(OLIVIA, alike, "agent").await.unwrap()];
            let accounts = [alike, invited].map(|email| User::new(user("mallory"), email.parse().unwrap()));
            for (invitation, account) in invitations.iter().zip(&accounts) {
                let stolen = team.accept(&team.token(invitation), account).await;
                assert!(matches!(stolen, Err(Error::WrongAccount { .. })), "{} by {}: {stolen:?}", invitation.email, account.email);
                team.revoke(OLIVIA, invitation.id).await.unwrap();
            }
        }
        assert_eq!(team.membership("mallory").await, None);
    }

    async fn another_spelling_of_the_same_address_is_the_same_invitee(team: Team) {
        for (number, (invited, spelled)) in SAME.iter().enumerate() {
            let who = format!("u{number}");
            let invitation = team.invite(OLIVIA, invited, "agent").await.unwrap();
            let again = team.invite(OLIVIA, spelled, "agent").await;
            assert!(matches!(again, Err(Error::AlreadyPending { invitation: old }) if old == invitation.id), "{spelled}: {again:?}");
            let account = User::new(user(&who), spelled.parse().unwrap());
            team.accept(&team.token(&invitation), &account).await.expect("the same person");
            let member = team.invite(OLIVIA, invited, "agent").await;
            assert!(matches!(member, Err(Error::AlreadyMember { .. })), "{member:?}");
            team.remove(OLIVIA, &who).await.unwrap();
        }
    }

    async fn every_kind_of_address_survives_storage(team: Team) {
        let examples = CLASSES.iter().filter(|class| class.is_accepted).flat_map(|class| class.examples);
        for email in examples {
            let invitation = team.invite(OLIVIA, email, "agent").await.unwrap();
            let stored = team.invitation(invitation.id).await;
            assert_eq!((stored.email, stored.status), (email.parse().unwrap(), Status::Pending));
            let account = User::new(user("guest"), email.parse().unwrap());
            team.accept(&team.token(&invitation), &account).await.expect("their own address");
            assert_eq!(team.membership("guest").await.unwrap().email, email.parse().unwrap());
            team.remove(OLIVIA, "guest").await.unwrap();
        }
    }
}
