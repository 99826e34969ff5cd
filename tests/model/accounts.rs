//! The accounts of the host and the spellings of their addresses.

/// An address as typed, and the values that the library must derive from it.
#[derive(Debug, PartialEq, Eq)]
pub struct Address {
    /// The text as typed.
    pub typed: &'static str,
    /// The address to which letters are sent.
    pub stored: &'static str,
    /// A key that two spellings of one invitee have in common.
    pub invitee: &'static str,
    /// A key that all addresses have in common which the limits count as one mailbox.
    pub mailbox: &'static str,
    /// The host's accounts that have this address.
    pub accounts: &'static [&'static str],
}

/// An account of the host.
pub type Account = &'static str;

/// The host as an actor. No account of the host has this id.
pub const HOST: Account = "host";

/// An operator as an actor.
pub const OPERATOR: Account = "ada@support";

/// The host and an operator act without a membership.
pub fn is_unbound(actor: Account) -> bool {
    [HOST, OPERATOR].contains(&actor)
}

pub const ACCOUNTS: [Account; 9] = [
    "olivia", "adam", "mia", "bob", "kim", "rene", "zoe", "zara", "mallory",
];

/// Written by hand from the rules, not computed: case, composition (NFC) and punycode are spelling;
/// dots and tags make another invitee of the same mailbox; two accounts may share an address.
pub const ADDRESSES: [Address; 14] = [
    plain("olivia@example.com", "olivia@example.com", &["olivia"]),
    plain("adam@example.com", "adam@example.com", &["adam"]),
    plain("mia@example.com", "mia@example.com", &["mia"]),
    spelled(
        "MIA@Example.COM",
        "MIA@example.com",
        "mia@example.com",
        &["mia"],
    ),
    plain("bob@example.com", "bob@example.com", &["bob"]),
    spelled(
        "Bob@example.com",
        "Bob@example.com",
        "bob@example.com",
        &["bob"],
    ),
    Address {
        mailbox: "bob@example.com",
        ..plain("b.ob@example.com", "b.ob@example.com", &["bob", "mallory"])
    },
    Address {
        mailbox: "bob@example.com",
        ..plain("bob+team@example.com", "bob+team@example.com", &["bob"])
    },
    spelled(
        "kim@bücher.example",
        "kim@xn--bcher-kva.example",
        "kim@xn--bcher-kva.example",
        &["kim"],
    ),
    spelled(
        "Kim@XN--BCHER-KVA.example",
        "Kim@xn--bcher-kva.example",
        "kim@xn--bcher-kva.example",
        &["kim"],
    ),
    plain("ren\u{e9}@example.com", "ren\u{e9}@example.com", &["rene"]),
    spelled(
        "rene\u{301}@example.com",
        "ren\u{e9}@example.com",
        "ren\u{e9}@example.com",
        &["rene"],
    ),
    plain("zoe@example.com", "zoe@example.com", &["zoe", "zara"]),
    plain("zara@example.com", "zara@example.com", &["zara"]),
];

const fn plain(
    typed: &'static str,
    stored: &'static str,
    accounts: &'static [&'static str],
) -> Address {
    spelled(typed, stored, stored, accounts)
}

const fn spelled(
    typed: &'static str,
    stored: &'static str,
    invitee: &'static str,
    accounts: &'static [&'static str],
) -> Address {
    Address {
        typed,
        stored,
        invitee,
        mailbox: invitee,
        accounts,
    }
}

/// The addresses with which an account of the host may sign in; Mallory has one that belongs to
/// Bob.
pub fn addresses_of(account: Account) -> impl Iterator<Item = &'static Address> {
    ADDRESSES
        .iter()
        .filter(move |address| address.accounts.contains(&account))
}

/// The names that organizations may have.
pub const NAMES: [&str; 3] = ["Acme", "O'Brien & Co", "Zürich"];
