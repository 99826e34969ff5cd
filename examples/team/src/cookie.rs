//! Secrets of a link, kept by the browser alone while a person answers it.
//!
//! A token in the address would be in histories and logs, and one in the session would lie in the session
//! store, which together with the database must not be enough to accept anything.

use tower_cookies::cookie::SameSite;
use tower_cookies::{Cookie, Cookies};

use crate::app::App;

/// The longest token that is kept: more than any of ours has, and less than a browser refuses.
const LONGEST: usize = 1024;

/// A secret for the pages below one path.
pub(crate) struct SecretCookie {
    name: &'static str,
    path: &'static str,
}

/// The token of an invitation.
pub(crate) const INVITATION: SecretCookie = SecretCookie {
    name: "team_invitation",
    path: "/invitation",
};

/// The token of a letter that confirms an address.
pub(crate) const SIGN_UP: SecretCookie = SecretCookie {
    name: "team_sign_up",
    path: "/sign-up",
};

impl SecretCookie {
    /// Keeps it until the browser is closed. What cannot be a token of ours is not kept: it could say more of the
    /// cookie than its value.
    pub(crate) fn keep(&self, app: &App, cookies: &Cookies, token: String) {
        let is_of_token = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if token.len() > LONGEST || !token.bytes().all(is_of_token) {
            return self.forget(cookies);
        }
        let cookie = Cookie::build((self.name, token))
            .path(self.path)
            .http_only(true)
            .same_site(SameSite::Lax)
            .secure(app.config.is_secure());
        cookies.add(cookie.build());
    }

    pub(crate) fn read(&self, cookies: &Cookies) -> Option<String> {
        cookies
            .get(self.name)
            .map(|cookie| cookie.value().to_owned())
    }

    /// Also where the browser does not send it, for the address of a link is outside of its path.
    pub(crate) fn forget(&self, cookies: &Cookies) {
        let mut over = Cookie::build((self.name, "")).path(self.path).build();
        over.make_removal();
        cookies.add(over);
    }
}
