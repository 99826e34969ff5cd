//! Newtypes over text that is checked when it is parsed.

/// Implements the conversions that serde, sqlx and hosts need, for a newtype over `String` that
/// parses by `FromStr`. With `printed` it also implements `Display`, which a secret must not have.
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
            /// Returns the text.
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

/// Implements parsing of opaque text of the host's: 1 to `$max` bytes without control characters.
macro_rules! opaque_text {
    ($name:ident, $error:ident, $max:literal) => {
        impl $name {
            /// The maximum length, in bytes.
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
