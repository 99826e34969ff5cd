//! Passwords: what is asked of them, and how they are kept.

use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use std::sync::LazyLock;

/// A password that keeps the rules, until it is hashed.
pub(crate) struct Password(String);

/// What is asked of a password, shown before and after it was typed. NIST SP 800-63B (section 5.1.1.2)
/// asks for length and against rules of composition.
pub(crate) const RULES: &str =
    "12 to 200 characters, not your e-mail address, and not one character over and over.";

/// Why a password is refused, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Weak {
    #[error("The password is too short: it needs at least 12 characters.")]
    Short,
    #[error("The password is too long: it has at most 200 characters.")]
    Long,
    #[error("The password is your e-mail address. Choose one that others cannot guess.")]
    Address,
    #[error("The password repeats one character. Choose one that others cannot guess.")]
    Repeated,
    #[error("The two passwords are not the same. Type the same one twice.")]
    Different,
}

impl Password {
    /// A new password, typed twice by who has the address.
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

    /// Hashes it by Argon2id with a salt of its own, off the threads that answer requests.
    pub(crate) async fn hash(self) -> anyhow::Result<String> {
        tokio::task::spawn_blocking(move || hash(&self.0)).await?
    }
}

fn hash(password: &str) -> anyhow::Result<String> {
    let hash = Argon2::default().hash_password(password.as_bytes());
    Ok(hash
        .map_err(|error| anyhow::anyhow!("the password was not hashed: {error}"))?
        .to_string())
}

/// Compared with where there is no account, so that the time of a refusal does not tell.
static NOBODYS: LazyLock<String> =
    LazyLock::new(|| hash("nobody has this password").expect("a password can be hashed"));

/// Whether `password` is the one that was hashed; never, where there is no hash.
pub(crate) async fn matches(password: String, hash: Option<String>) -> anyhow::Result<bool> {
    let matches = move || {
        let expected = hash.as_deref().unwrap_or(&NOBODYS);
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
    fn each_rule_refuses_with_its_own_words() {
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
