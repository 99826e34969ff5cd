//! Cookies that hold the secret token of a link until the person has answered.
//!
//! A token in the URL would end up in browser histories and logs. A token in the session would be in the session
//! store, and access to that store and the database must not be enough to accept an invitation.

use tower_cookies::cookie::SameSite;
use tower_cookies::{Cookie, Cookies};

use crate::app::App;

/// The maximum length of a token: longer than any real token, and short enough for every browser.
const LONGEST: usize = 1024;

/// A secret that the browser sends only to pages below one path.
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
    /// Sets the cookie until the browser is closed. Text that cannot be a token is not stored, since it could add
    /// attributes to the cookie.
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

    /// Deletes the cookie, even if the request did not carry it: the URL of a link is outside the cookie's path.
    pub(crate) fn forget(&self, cookies: &Cookies) {
        let mut removal = Cookie::build((self.name, "")).path(self.path).build();
        removal.make_removal();
        cookies.add(removal);
    }
}
