//! Passwords: the rules for new ones, and hashing.

use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use std::sync::LazyLock;

/// A new password that follows the rules and is not hashed yet.
pub(crate) struct Password(String);

/// The rules for a new password, shown next to the field. NIST SP 800-63B (section 5.1.1.2) recommends a minimum
/// length and advises against composition rules.
pub(crate) const RULES: &str =
    "12 to 200 characters, not your e-mail address, and not a single repeated character.";

/// The reason for rejecting a password, as shown to the person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Weak {
    #[error("The password is too short: it needs at least 12 characters.")]
    Short,
    #[error("The password is too long: it may have at most 200 characters.")]
    Long,
    #[error("The password is your e-mail address. Choose one that others cannot guess.")]
    Address,
    #[error("The password repeats one character. Choose one that others cannot guess.")]
    Repeated,
    #[error("The two passwords are not the same. Type the same one twice.")]
    Different,
}

impl Password {
    /// Checks a new password that was typed twice, for the account with `email`.
    pub(crate) fn choose(password: &str, again: &str, email: &str) -> Result<Self, Weak> {
        let length = password.chars().count();
        let first = password.chars().next();
        if length < 12 {
            Err(Weak::Short)
        } else if length > 200 {
            Err(Weak::Long)
        } else if password.eq_ignore_ascii_case(email) {
            Err(Weak::Address)
        } else if password.chars().all(|c| Some(c) == first) {
            Err(Weak::Repeated)
        } else if password != again {
            Err(Weak::Different)
        } else {
            Ok(Self(password.to_owned()))
        }
    }

    /// Hashes the password with Argon2id and a random salt, on a blocking thread.
    pub(crate) async fn hash(self) -> anyhow::Result<String> {
        tokio::task::spawn_blocking(move || hash(&self.0)).await?
    }
}

fn hash(password: &str) -> anyhow::Result<String> {
    let hash = Argon2::default().hash_password(password.as_bytes());
    Ok(hash
        .map_err(|error| anyhow::anyhow!("the password could not be hashed: {error}"))?
        .to_string())
}

/// A hash to compare with if there is no account, so that the response time does not reveal that.
static DUMMY: LazyLock<String> =
    LazyLock::new(|| hash("nobody has this password").expect("a password can be hashed"));

/// Returns true if `password` matches `hash`. Without a hash the result is always false.
pub(crate) async fn matches(password: String, hash: Option<String>) -> anyhow::Result<bool> {
    let matches = move || {
        let expected = hash.as_deref().unwrap_or(&DUMMY);
        let parsed = argon2::password_hash::phc::PasswordHash::new(expected);
        let verified = parsed.is_ok_and(|parsed| {
            Argon2::default()
                .verify_password(password.as_bytes(), &parsed)
                .is_ok()
        });
        verified && hash.is_some()
    };
    Ok(tokio::task::spawn_blocking(matches).await?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn each_rule_has_its_own_error() {
        let email = "olivia@acme.example";
        let refused = |password: &str, again: &str| Password::choose(password, again, email).err();
        assert_eq!(refused("elevenchars", "elevenchars"), Some(Weak::Short));
        let long = "ab".repeat(101);
        assert_eq!(refused(&long, &long), Some(Weak::Long));
        let shouted = email.to_uppercase();
        assert_eq!(refused(&shouted, &shouted), Some(Weak::Address));
        assert_eq!(
            refused("xxxxxxxxxxxx", "xxxxxxxxxxxx"),
            Some(Weak::Repeated)
        );
        assert_eq!(
            refused("correct horse", "correct house"),
            Some(Weak::Different)
        );
        assert_eq!(refused("correct horse", "correct horse"), None);
    }

    #[tokio::test]
    async fn a_hash_matches_its_password_and_nothing_else() {
        let password = Password::choose("correct horse", "correct horse", "").unwrap();
        let hash = password.hash().await.unwrap();
        assert!(hash.starts_with("$argon2id$"));
        assert!(
            matches("correct horse".into(), Some(hash.clone()))
                .await
                .unwrap()
        );
        assert!(!matches("correct house".into(), Some(hash)).await.unwrap());
        assert!(
            !matches("nobody has this password".into(), None)
                .await
                .unwrap()
        );
    }
}
