//! Texts that are, almost are, or are far from being e-mail addresses.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// Any text typed as an address: near misses, mutations of valid ones, any text, any bytes.
pub fn typed() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => near_valid(),
        6 => mutated(),
        2 => any::<String>(),
        1 => vec(any::<u8>(), 0..90).prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
        1 => (any::<String>(), any::<String>()).prop_map(|(local, domain)| format!("{local}@{domain}")),
    ]
}

/// Combinations of the parts that parsers get wrong.
pub fn near_valid() -> impl Strategy<Value = String> {
    let local = vec(piece(), 0..7).prop_map(|pieces| pieces.concat());
    let labels = vec(label(), 0..5);
    let at = select(vec![
        "@", "@", "@", "@", "@", "@", "@@", "", " @", "\u{ff20}",
    ]);
    (
        local,
        at,
        labels,
        select(vec![".", ".", ".", ".", "\u{3002}", "\u{ff0e}", ".."]),
    )
        .prop_map(|(local, at, labels, dot)| format!("{local}{at}{}", labels.join(dot)))
}

/// An address whose local part consists of letters that some software folds too far.
pub fn foldable() -> impl Strategy<Value = String> {
    let letters = "kKsSiIſıİßẞσςΣαΑåÅöеЕéǆǅµμθΘϴﬁaZ9.\u{301}\u{307}\u{30c}";
    let letter = select(letters.chars().collect::<Vec<_>>());
    vec(letter, 1..6).prop_map(|local| format!("{}@b.co", local.into_iter().collect::<String>()))
}

/// A valid address with up to three characters inserted, removed, replaced or doubled.
pub fn mutated() -> impl Strategy<Value = String> {
    let change = (any::<prop::sample::Index>(), 0..4_u8, odd_character());
    (select(VALID.to_vec()), vec(change, 1..4)).prop_map(|(valid, changes)| {
        let mut characters: Vec<char> = valid.chars().collect();
        for (at, how, odd) in changes {
            let at = at.index(characters.len().max(1));
            match (how, characters.get(at).copied()) {
                (0, Some(_)) => drop(characters.remove(at)),
                (1, Some(_)) => characters[at] = odd,
                (2, Some(same)) => characters.insert(at, same),
                _ => characters.insert(at, odd),
            }
        }
        characters.into_iter().collect()
    })
}

fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-zA-Z0-9]{1,6}",
        2 => select(vec![".", "+", "-", "_", "'", "=?", "?=", "=", "{{x}}", "%s"]).prop_map(str::to_owned),
        1 => select(vec!["..", "\"a b\"", "(c)", "\\", " ", "\r\n", "<", ">", ",", ";", ":", "[", "]"]).prop_map(str::to_owned),
        2 => odd_character().prop_map(String::from),
        1 => "[a-z]{60,66}",
        1 => "\\PC{1,4}",
    ]
}

fn label() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => "[a-z0-9]{1,8}",
        2 => select(vec!["example", "com", "co", "EXAMPLE", "xn--mller-kva", "xn--", "xn--a", "-a", "a-", "a_b", "127", "0x7f", "[127.0.0.1]", ""]).prop_map(str::to_owned),
        1 => "[a-z]{61,65}",
        1 => odd_character().prop_map(|odd| format!("a{odd}b")),
        1 => "\\PC{1,4}",
    ]
}

/// Characters that folding, hiding, line endings or commands have made trouble with.
pub fn odd_character() -> impl Strategy<Value = char> {
    prop_oneof![
        8 => select("KkſsSıIiİßẞςσΣŐőÅ\u{212a}\u{212b}\u{2126}ǅǄǆﬁﬀＡａ①ªµΜμАаёЁ用ñéÉ\u{301}\u{307}\u{323}\u{338}\u{345}\u{f900}\u{1f71}\u{37e}\u{1fef}".chars().collect::<Vec<_>>()),
        4 => select(" \t\r\n\0\u{b}\u{c}\u{7f}\u{85}\u{a0}\u{ad}\u{200b}\u{200d}\u{200e}\u{2028}\u{202e}\u{2066}\u{3000}\u{3164}\u{feff}\u{fe0f}\u{fffd}\u{e0001}".chars().collect::<Vec<_>>()),
        4 => select("@.,;:<>()[]\\\"'`+-=?_/%&|{}~^!#$*".chars().collect::<Vec<_>>()),
        2 => any::<char>(),
    ]
}

const VALID: &[&str] = &[
    "a@b.co",
    "alice@example.com",
    "alice.b+tag@mail.example.co",
    "O'Brien@EXAMPLE.com",
    "mike@example.com",
    "strasse@example.com",
    "Δοκιμή@example.gr",
    "müller@example.de",
    "用户@例子.广告",
    "क्षमा@example.in",
    "x@xn--mller-kva.example",
    "a!#$%&*/?^_`{|}~b@example.org",
];
