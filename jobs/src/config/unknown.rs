//! Names that are close to our variables but are not one of them.

use super::variables;

const PREFIX: &str = "GUESTLIST_";

/// Returns the variable that `name` was probably meant to be: the same one without the prefix, or
/// one that differs by a typing error. Other names are accepted, because hosts have their own and
/// platforms add some, such as `GUESTLIST_SERVICE_HOST` for a Kubernetes service named guestlist.
pub(super) fn meant(name: &str) -> Option<&'static str> {
    let rest = name.strip_prefix(PREFIX)?;
    let mut known = variables::ALL.iter().map(|variable| variable.name);
    if rest.starts_with("TEST_") || known.clone().any(|known| known == name) {
        return None;
    }
    if let Some(bare) = known.clone().find(|known| *known == rest) {
        return Some(bare);
    }
    let slips = if rest.len() < 6 { 1 } else { 2 };
    known.find(|known| {
        known
            .strip_prefix(PREFIX)
            .is_some_and(|known| distance(known, rest) <= slips)
    })
}

/// Returns the number of letters to insert, delete or replace to turn one text into the other
/// (Levenshtein distance).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<_> = other.chars().collect();
    let mut row: Vec<_> = (0..=other.len()).collect();
    for (i, c) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, d) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(c != *d);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_and_a_prefix_too_many_are_recognised() {
        for (name, known) in [
            ("GUESTLIST_LIMIT", "GUESTLIST_LIMITS"),
            ("GUESTLIST_KEY", "GUESTLIST_KEYS"),
            ("GUESTLIST_SEAT", "GUESTLIST_SEATS"),
            ("GUESTLIST_RETENSION", "GUESTLIST_RETENTION"),
            ("GUESTLIST_CONCURENCY", "GUESTLIST_CONCURRENCY"),
            ("GUESTLIST_DATABASE_URL", "DATABASE_URL"),
            ("GUESTLIST_SMTP_URL", "SMTP_URL"),
        ] {
            assert_eq!(meant(name), Some(known), "{name}");
        }
    }

    #[test]
    fn what_others_set_is_left_alone() {
        for variable in variables::ALL {
            assert_eq!(meant(variable.name), None);
        }
        for name in [
            "PATH",
            "LIMITS",
            "GUESTLIST_TEST_POSTGRES",
            "GUESTLIST_TEST_KEYS",
            "GUESTLIST_SERVICE_HOST",
            "GUESTLIST_PORT",
            "GUESTLIST_PORT_80_TCP",
            "GUESTLIST_URL",
            "GUESTLIST_VERSION",
        ] {
            assert_eq!(meant(name), None, "{name}");
        }
    }
}
