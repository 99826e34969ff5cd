//! Who there is, and how they spell their addresses.

/// An address as someone types it, and what is to become of it.
#[derive(Debug, PartialEq, Eq)]
pub struct Address {
    /// As typed.
    pub typed: &'static str,
    /// As letters go to it.
    pub stored: &'static str,
    /// Equal for two spellings of one invitee.
    pub invitee: &'static str,
    /// Equal for what the limits count as one mailbox.
    pub mailbox: &'static str,
    /// The accounts of the host that have it.
    pub accounts: &'static [&'static str],
}

/// An account of the host.
pub type Person = &'static str;

pub const PEOPLE: [Person; 9] = [
    "olivia", "adam", "mia", "bob", "kim", "rene", "zoe", "zara", "mallory",
];

/// Written by hand from the rules, not computed: case, composition (NFC) and punycode are spelling,
/// dots and tags are other invitees of one mailbox, and two accounts may share an address.
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

/// The addresses an account of the host may sign in with; Mallory has one that is not theirs.
pub fn addresses_of(person: Person) -> impl Iterator<Item = &'static Address> {
    ADDRESSES
        .iter()
        .filter(move |address| address.accounts.contains(&person))
}

/// What organizations are called.
pub const NAMES: [&str; 3] = ["Acme", "O'Brien & Co", "Zürich"];
