//! A test browser without JavaScript: keeps cookies, follows redirects, and submits the forms of pages.

use std::collections::BTreeMap;

use reqwest::header::{LOCATION, RETRY_AFTER, SET_COOKIE};
use reqwest::{Client, Method, Response, StatusCode};

pub(crate) struct Browser {
    client: Client,
    site: String,
    cookies: BTreeMap<String, String>,
    /// The value of the header that a proxy adds with the client address.
    forwarded_for: Option<String>,
}

/// A page that the browser received.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) status: StatusCode,
    /// The path of the page.
    pub(crate) path: String,
    pub(crate) html: String,
    pub(crate) retry_after: Option<String>,
}

/// A form of a page: its action and hidden fields.
struct Form {
    action: String,
    hidden: Vec<(String, String)>,
    html: String,
}

impl Browser {
    pub(crate) fn new(site: &str) -> Self {
        let client = Client::builder().redirect(reqwest::redirect::Policy::none());
        Self {
            client: client.build().unwrap(),
            site: site.to_owned(),
            cookies: BTreeMap::new(),
            forwarded_for: None,
        }
    }

    pub(crate) fn cookie(&self, name: &str) -> Option<&str> {
        self.cookies.get(name).map(String::as_str)
    }

    pub(crate) fn set_cookie(&mut self, name: &str, value: &str) {
        self.cookies.insert(name.to_owned(), value.to_owned());
    }

    /// Sets the header that a proxy would add.
    pub(crate) fn forward_for(&mut self, addresses: &str) {
        self.forwarded_for = Some(addresses.to_owned());
    }

    /// Opens a path, or a full URL of the site.
    pub(crate) async fn open(&mut self, address: &str) -> Page {
        let path = address.strip_prefix(&self.site).unwrap_or(address);
        self.request(Method::GET, path.to_owned(), &[]).await
    }

    /// Submits the form of a page that has a button with this label, with the typed values.
    pub(crate) async fn press(
        &mut self,
        page: &Page,
        button: &str,
        typed: &[(&str, &str)],
    ) -> Page {
        let form = page.form(button);
        let form = form.unwrap_or_else(|| panic!("no button {button:?} on {}", page.text()));
        for (field, _) in typed {
            let name = format!("name=\"{field}\"");
            assert!(
                form.html.contains(&name),
                "no field {field} in {}",
                form.html
            );
        }
        let hidden = form
            .hidden
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        let fields: Vec<_> = hidden.chain(typed.iter().copied()).collect();
        self.request(Method::POST, form.action, &fields).await
    }

    /// Submits a form without following the redirect, as if the window was closed.
    pub(crate) async fn press_and_close(&mut self, page: &Page, button: &str) {
        let form = page.form(button).unwrap();
        let hidden = form.hidden.iter();
        let fields: Vec<_> = hidden
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let response = self.send(Method::POST, &form.action, &fields).await;
        assert!(response.status().is_redirection(), "{response:?}");
        self.keep_cookies(&response);
    }

    /// Follows the link of a page with this text.
    pub(crate) async fn follow(&mut self, page: &Page, link: &str) -> Page {
        let target = page.link(link);
        let target = target.unwrap_or_else(|| panic!("no link {link:?} on {}", page.text()));
        self.open(&target).await
    }

    /// Posts a form that no page offers, with the CSRF token of the session.
    pub(crate) async fn force(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        let token = self.token().await;
        let token = [("csrf", token.as_str())];
        let fields: Vec<_> = token.iter().chain(fields).copied().collect();
        self.request(Method::POST, path.to_owned(), &fields).await
    }

    /// Posts a form without adding a CSRF token.
    pub(crate) async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        self.request(Method::POST, path.to_owned(), fields).await
    }

    /// Returns the CSRF token of the session.
    pub(crate) async fn token(&mut self) -> String {
        let page = self.open("/sign-in").await;
        let form = page.form("Sign in").unwrap();
        form.hidden
            .into_iter()
            .find(|(name, _)| name == "csrf")
            .unwrap()
            .1
    }

    async fn request(&mut self, method: Method, path: String, fields: &[(&str, &str)]) -> Page {
        let (mut method, mut path) = (method, path);
        for _ in 0..8 {
            let response = self.send(method, &path, fields).await;
            self.keep_cookies(&response);
            let status = response.status();
            match response.headers().get(LOCATION) {
                Some(location) if status.is_redirection() => {
                    method = Method::GET;
                    path = location.to_str().unwrap().to_owned();
                }
                _ => {
                    let wait = response.headers().get(RETRY_AFTER);
                    let retry_after = wait.map(|wait| wait.to_str().unwrap().to_owned());
                    let html = response.text().await.unwrap();
                    return Page {
                        status,
                        path,
                        html,
                        retry_after,
                    };
                }
            }
        }
        panic!("too many redirects, the last one to {path}");
    }

    async fn send(&self, method: Method, path: &str, fields: &[(&str, &str)]) -> Response {
        let cookies: Vec<_> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let mut request = self
            .client
            .request(method.clone(), format!("{}{path}", self.site))
            .header("cookie", cookies.join("; "));
        if let Some(addresses) = &self.forwarded_for {
            request = request.header("x-forwarded-for", addresses);
        }
        if method == Method::POST {
            let body = form_urlencoded::Serializer::new(String::new())
                .extend_pairs(fields)
                .finish();
            request = request
                .header("content-type", "application/x-www-form-urlencoded")
                .body(body);
        }
        request.send().await.unwrap()
    }

    fn keep_cookies(&mut self, response: &Response) {
        for cookie in response.headers().get_all(SET_COOKIE) {
            let cookie = cookie.to_str().unwrap();
            let (name, rest) = cookie.split_once('=').unwrap();
            let value = rest.split(';').next().unwrap();
            if value.is_empty() {
                self.cookies.remove(name);
            } else {
                assert!(cookie.contains("HttpOnly; SameSite=Lax"), "{cookie}");
                self.set_cookie(name, value);
            }
        }
    }
}

impl Page {
    /// Returns the visible text.
    pub(crate) fn text(&self) -> String {
        text(&self.html)
    }

    pub(crate) fn says(&self, words: &str) -> bool {
        self.text().contains(words)
    }

    #[track_caller]
    pub(crate) fn must_say(&self, words: &str) {
        assert!(
            self.says(words),
            "{words:?} is not on the page {}: {}",
            self.path,
            self.text()
        );
    }

    /// Returns true if there is a button or a link with this text.
    pub(crate) fn offers(&self, control: &str) -> bool {
        self.form(control).is_some() || self.link(control).is_some()
    }

    fn form(&self, button: &str) -> Option<Form> {
        let forms = elements(&self.html, "form");
        let has = |form: &&str| {
            elements(form, "button")
                .iter()
                .any(|html| text(html) == button)
        };
        let html = forms.into_iter().find(has)?;
        let inputs = html
            .split("<input ")
            .skip(1)
            .map(|input| input.split('>').next().unwrap());
        let hidden = inputs
            .filter(|input| input.contains("type=\"hidden\""))
            .map(|input| (attribute(input, "name"), attribute(input, "value")));
        Some(Form {
            action: attribute(html, "action"),
            hidden: hidden.collect(),
            html: html.to_owned(),
        })
    }

    fn link(&self, label: &str) -> Option<String> {
        let links = elements(&self.html, "a");
        let link = links.into_iter().find(|link| text(link) == label)?;
        Some(attribute(link, "href"))
    }

    /// Returns the option values of the selector with this id.
    pub(crate) fn choices(&self, id: &str) -> Vec<String> {
        let choices = elements(&self.html, "select");
        let choice = choices
            .into_iter()
            .find(|choice| attribute(choice, "id") == id);
        let options = choice
            .map(|choice| elements(choice, "option"))
            .unwrap_or_default();
        options
            .into_iter()
            .map(|option| attribute(option, "value"))
            .collect()
    }
}

/// Finds the elements with a tag name. They must not be nested.
fn elements<'h>(html: &'h str, name: &str) -> Vec<&'h str> {
    let (start, end) = (format!("<{name}"), format!("</{name}>"));
    let starts = html.match_indices(&start);
    let starts = starts.filter(|(at, _)| html[at + start.len()..].starts_with([' ', '>']));
    let whole = starts.map(|(at, _)| &html[at..]);
    whole.map(|html| html.split(&end).next().unwrap()).collect()
}

fn attribute(html: &str, name: &str) -> String {
    let found = html
        .split(&format!(" {name}=\""))
        .nth(1)
        .map(|rest| rest.split('"').next().unwrap());
    unescaped(
        found
            .or_else(|| html.strip_prefix(&format!("{name}=\""))?.split('"').next())
            .unwrap_or_default(),
    )
}

fn text(html: &str) -> String {
    let mut parts = html.split('<');
    let first = parts.next().unwrap_or_default().to_owned();
    let all = parts.fold(first, |text, part| {
        let (tag, rest) = part.split_once('>').unwrap_or((part, ""));
        let is_inline = ["strong", "/strong", "span", "/span"]
            .iter()
            .any(|inline| tag.starts_with(inline));
        text + if is_inline { "" } else { " " } + rest
    });
    unescaped(&all)
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

fn unescaped(text: &str) -> String {
    [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#x27;", "'"),
        ("&#x3D;", "="),
        ("&#x60;", "`"),
        ("&amp;", "&"),
    ]
    .into_iter()
    .fold(text.to_owned(), |text, (entity, letter)| {
        text.replace(entity, letter)
    })
}
