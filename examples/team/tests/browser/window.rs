//! A person's browser window. Controls are found by their visible names.

use std::time::{Duration, Instant};

use fantoccini::elements::Element;
use fantoccini::error::CmdError;
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, Locator};
use reqwest::{Method, Url};
use serde_json::{Value as Json, json};

/// The time limit for waiting.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The pause between two checks of the page.
const PAUSE: Duration = Duration::from_millis(25);

pub(crate) struct Window {
    client: Client,
    url: String,
}

/// A command of chromedriver that WebDriver does not have.
#[derive(Debug)]
struct Extension {
    path: &'static str,
    body: Json,
}

impl WebDriverCompatibleCommand for Extension {
    fn endpoint(
        &self,
        base: &Url,
        session: Option<&str>,
    ) -> Result<Url, <Url as std::str::FromStr>::Err> {
        let session = session.unwrap_or_default();
        base.join(&format!("session/{session}/{}", self.path))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(self.body.to_string()))
    }
}

impl Window {
    pub(crate) fn new(client: Client, url: &str) -> Self {
        Self {
            client,
            url: url.to_owned(),
        }
    }

    /// Opens a path of the application, or a full URL.
    pub(crate) async fn open(&self, path: &str) {
        let address = match path.strip_prefix('/') {
            Some(_) => format!("{}{path}", self.url),
            None => path.to_owned(),
        };
        self.client.goto(&address).await.unwrap();
    }

    pub(crate) async fn reload(&self) {
        self.client.refresh().await.unwrap();
    }

    /// Clicks the button or link with exactly this name.
    pub(crate) async fn press(&self, name: &str) {
        let control = format!(
            "//*[self::button or self::a or self::summary][normalize-space(.)={}]",
            quoted(name)
        );
        self.on(&control, async |control| control.click().await)
            .await;
    }

    /// Clicks a control in the frame of the page that leads out of the frame.
    pub(crate) async fn press_in_frame(&self, name: &str) {
        self.client.enter_frame(0).await.unwrap();
        self.press(name).await;
        let window = self.client.window().await.unwrap();
        self.client.switch_to_window(window).await.unwrap();
    }

    /// Replaces the text of the field with this label.
    pub(crate) async fn write(&self, label: &str, text: &str) {
        self.on(&field(label), async |field| {
            field.clear().await?;
            field.send_keys(text).await
        })
        .await;
    }

    /// Selects an option of the selector with this label.
    pub(crate) async fn choose(&self, label: &str, option: &str) {
        self.on(&field(label), async |list| {
            list.select_by_label(option).await
        })
        .await;
    }

    /// Returns the value of the field with this label.
    pub(crate) async fn value(&self, label: &str) -> String {
        let field = field(label);
        let value = self.on(&field, async |field| field.prop("value").await);
        value.await.unwrap_or_default()
    }

    /// Runs `act` on the element that an XPath finds. Retries while the element is missing or is being replaced.
    async fn on<T>(&self, path: &str, act: impl AsyncFn(Element) -> Result<T, CmdError>) -> T {
        let began = Instant::now();
        loop {
            let done = match self.client.find(Locator::XPath(path)).await {
                Ok(element) => act(element).await,
                Err(error) => Err(error),
            };
            match done {
                Ok(done) => return done,
                Err(error) if began.elapsed() > TIMEOUT => {
                    panic!("{path}: {error}, on {}", self.text().await)
                }
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    /// Waits until the page contains this text.
    pub(crate) async fn says(&self, words: &str) {
        let began = Instant::now();
        loop {
            let text = self.text().await;
            if text.contains(words) {
                return;
            }
            assert!(
                began.elapsed() < TIMEOUT,
                "{words:?} does not appear in {text}"
            );
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Reloads the page until it contains this text.
    pub(crate) async fn says_after_reload(&self, words: &str) {
        let began = Instant::now();
        while !self.text().await.contains(words) {
            assert!(began.elapsed() < TIMEOUT, "{words:?} does not appear");
            tokio::time::sleep(PAUSE).await;
            self.reload().await;
        }
    }

    /// Checks that the page is loaded and does not contain this text.
    pub(crate) async fn says_nothing_of(&self, words: &str) {
        let text = self.text().await;
        assert!(!text.contains(words), "{words:?} appears in {text}");
    }

    /// Returns the visible text of the page, in one line.
    pub(crate) async fn text(&self) -> String {
        const TEXT: &str = "return document.body ? document.body.innerText : ''";
        self.words(TEXT).await
    }

    /// Returns the text of the list entry that contains these words, in one line.
    pub(crate) async fn entry(&self, words: &str) -> String {
        let entry = format!(
            "//main//li[contains(normalize-space(.), {})]",
            quoted(words)
        );
        let text = self.on(&entry, async |entry| entry.text().await).await;
        in_one_line(&text)
    }

    async fn words(&self, script: &str) -> String {
        // While the browser leaves a page, there is no text.
        let text = self.client.execute(script, vec![]).await;
        in_one_line(text.unwrap_or_default().as_str().unwrap_or_default())
    }

    /// Returns the names of all usable controls in the content of the page, in order.
    pub(crate) async fn controls(&self) -> Vec<String> {
        const CONTROLS: &str = "
            const all = document.querySelectorAll('main :is(a, button, input, select, textarea)');
            const shown = [...all].filter((control) => control.checkVisibility() && !control.disabled);
            const name = (control) => control.labels?.[0] ?? control;
            return shown.map((control) => name(control).textContent.replace(/\\s+/g, ' ').trim());";
        let controls = self.execute(CONTROLS, vec![]).await;
        serde_json::from_value(controls).unwrap()
    }

    /// Returns the current path, query and fragment.
    pub(crate) async fn path(&self) -> String {
        let address = self.client.current_url().await.unwrap();
        address.as_str().strip_prefix(&self.url).unwrap().to_owned()
    }

    /// Waits until the browser is at this path.
    pub(crate) async fn is_at(&self, path: &str) {
        let began = Instant::now();
        while self.path().await != path {
            let elsewhere = began.elapsed() > TIMEOUT;
            assert!(!elsewhere, "at {}, not at {path}", self.path().await);
            tokio::time::sleep(PAUSE).await;
        }
    }

    pub(crate) async fn execute(&self, script: &str, arguments: Vec<Json>) -> Json {
        self.client.execute(script, arguments).await.unwrap()
    }

    /// Runs a script that returns its result by calling its last argument.
    pub(crate) async fn execute_async(&self, script: &str) -> Json {
        self.client.execute_async(script, vec![]).await.unwrap()
    }

    /// Sends a command of the DevTools protocol.
    pub(crate) async fn devtools(&self, command: &str, parameters: Json) -> Json {
        let body = json!({ "cmd": command, "params": parameters });
        self.extension("goog/cdp/execute", body).await
    }

    async fn extension(&self, path: &'static str, body: Json) -> Json {
        let command = Extension { path, body };
        self.client.issue_cmd(command).await.unwrap()
    }

    /// Checks that the console has no errors: no page so far violated its Content Security Policy, and no script failed.
    pub(crate) async fn must_have_no_console_errors(&self) {
        let errors = self.console_errors().await;
        assert!(errors.is_empty(), "console errors: {errors:?}");
    }

    /// Returns the console errors since the last call, except those for responses with status 4xx.
    pub(crate) async fn console_errors(&self) -> Vec<String> {
        let entries = self.extension("se/log", json!({ "type": "browser" })).await;
        let messages = entries.as_array().unwrap().iter();
        let messages = messages.map(|entry| entry["message"].as_str().unwrap().to_owned());
        messages
            .filter(|message| !message.contains("Failed to load resource"))
            .collect()
    }
}

fn in_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn field(label: &str) -> String {
    format!(
        "//*[@id=//label[normalize-space(.)={}]/@for]",
        quoted(label)
    )
}

/// Quotes a string for XPath, which has no escapes.
fn quoted(text: &str) -> String {
    assert!(!text.contains('"'), "{text}");
    format!("\"{text}\"")
}
