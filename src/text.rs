//! Text that is checked once, when it is made.

/// Gives a newtype over `String`, which parses by `FromStr`, the conversions that serde, sqlx and
/// a host expect of it; `printed` also shows it, which a secret is not.
macro_rules! text {
    (printed $name:ident, $error:ty) => {
        crate::text::text!($name, $error);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(&self.0)
            }
        }
    };
    ($name:ident, $error:ty) => {
        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = $error;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(text: $name) -> Self {
                text.0
            }
        }
    };
}

/// A newtype over opaque text of the host: 1 to `$max` bytes without control characters.
macro_rules! opaque_text {
    ($name:ident, $error:ident, $max:literal) => {
        impl $name {
            /// The longest one, in bytes.
            pub const MAX_LENGTH: usize = $max;
        }

        impl std::str::FromStr for $name {
            type Err = $error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let fits = (1..=Self::MAX_LENGTH).contains(&text.len());
                if fits && !text.chars().any(char::is_control) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err($error)
                }
            }
        }
    };
}

pub(crate) use {opaque_text, text};
