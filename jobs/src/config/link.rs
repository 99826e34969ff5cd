//! The template of an invitation's link.

use std::fmt;
use std::str::FromStr;

use guestlist::Token;
use url::Url;

/// A URL of the host's application with a placeholder for the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkTemplate {
    before: String,
    after: String,
}

/// The reason why a text is not a link template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidLinkTemplate {
    /// `{token}` is missing or occurs more than once.
    #[error("the link contains {{token}} {0} times")]
    Places(usize),
    /// It is not a URL people can open.
    #[error("the link is not an http or https URL")]
    NotAUrl,
    /// The token would become part of a host name or of credentials.
    #[error("the link contains {{token}} before its path")]
    TokenInHost,
}

const PLACE: &str = "{token}";

impl LinkTemplate {
    /// Returns the link with `token`, which is a secret.
    pub fn with(&self, token: &Token) -> String {
        format!("{}{}{}", self.before, token.expose(), self.after)
    }

    /// Returns the token in a link created from this template, or the text itself if it is not such
    /// a link.
    pub fn token_in<'t>(&self, text: &'t str) -> &'t str {
        let inside = text
            .strip_prefix(&self.before)
            .and_then(|rest| rest.strip_suffix(&self.after));
        inside.unwrap_or(text)
    }
}

/// Formats the template as it was written.
impl fmt::Display for LinkTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{PLACE}{}", self.before, self.after)
    }
}

impl FromStr for LinkTemplate {
    type Err = InvalidLinkTemplate;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let [before, after] = text.split(PLACE).collect::<Vec<_>>()[..] else {
            return Err(InvalidLinkTemplate::Places(text.matches(PLACE).count()));
        };
        let url =
            Url::parse(&format!("{before}t{after}")).map_err(|_| InvalidLinkTemplate::NotAUrl)?;
        if !matches!(url.scheme(), "http" | "https") || text.contains(char::is_whitespace) {
            return Err(InvalidLinkTemplate::NotAUrl);
        }
        let authority = before.split_once("://").map_or("", |(_, rest)| rest);
        if !authority.contains(['/', '?', '#']) {
            return Err(InvalidLinkTemplate::TokenInHost);
        }
        Ok(Self {
            before: before.to_owned(),
            after: after.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_token_is_found_again_in_the_link_and_passes_alone() {
        for text in [
            "https://a.example/join/{token}",
            "http://localhost:3000/?t={token}&x=1",
            "https://a.b/#{token}",
        ] {
            let link: LinkTemplate = text.parse().unwrap();
            assert_eq!(link.token_in(&text.replace(PLACE, "AQdr")), "AQdr");
            assert_eq!(link.token_in("AQdr"), "AQdr");
        }
    }

    #[test]
    fn a_link_needs_one_token_behind_a_host() {
        use InvalidLinkTemplate as E;
        for (text, error) in [
            ("https://a.example/", E::Places(0)),
            ("https://a.example/{token}/{token}", E::Places(2)),
            ("javascript:{token}", E::NotAUrl),
            ("/join/{token}", E::NotAUrl),
            ("https://a.example/join us/{token}", E::NotAUrl),
            ("https://{token}.example/", E::TokenInHost),
            ("https://a.example{token}/", E::TokenInHost),
        ] {
            assert_eq!(text.parse::<LinkTemplate>(), Err(error), "{text}");
        }
    }
}
