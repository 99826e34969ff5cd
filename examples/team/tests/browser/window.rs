//! A person's browser, used by what is written on the page.

use std::time::{Duration, Instant};

use fantoccini::elements::Element;
use fantoccini::error::CmdError;
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, Locator};
use reqwest::{Method, Url};
use serde_json::{Value as Json, json};

/// How long something may take that happens soon.
const SOON: Duration = Duration::from_secs(20);

/// Between two looks at the page.
const PAUSE: Duration = Duration::from_millis(25);

pub(crate) struct Window {
    client: Client,
    url: String,
}

/// What only chromedriver knows, below the session's address.
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

    /// Opens a path of the application, or an address.
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

    /// Uses the button or link with exactly this name.
    pub(crate) async fn press(&self, name: &str) {
        let control = format!(
            "//*[self::button or self::a or self::summary][normalize-space(.)={}]",
            quoted(name)
        );
        self.on(&control, async |control| control.click().await)
            .await;
    }

    /// The same, in the frame of the page, for what leads out of it.
    pub(crate) async fn press_in_frame(&self, name: &str) {
        self.client.enter_frame(0).await.unwrap();
        self.press(name).await;
        let window = self.client.window().await.unwrap();
        self.client.switch_to_window(window).await.unwrap();
    }

    /// Types into the field with this label, instead of what is in it.
    pub(crate) async fn write(&self, label: &str, text: &str) {
        self.on(&field(label), async |field| {
            field.clear().await?;
            field.send_keys(text).await
        })
        .await;
    }

    /// Chooses from the list with this label.
    pub(crate) async fn choose(&self, label: &str, option: &str) {
        self.on(&field(label), async |list| {
            list.select_by_label(option).await
        })
        .await;
    }

    /// The value of the field with this label.
    pub(crate) async fn value(&self, label: &str) -> String {
        let field = field(label);
        let value = self.on(&field, async |field| field.prop("value").await);
        value.await.unwrap_or_default()
    }

    /// Does something with what an XPath finds, once it is there and not about to be replaced.
    async fn on<T>(&self, path: &str, act: impl AsyncFn(Element) -> Result<T, CmdError>) -> T {
        let began = Instant::now();
        loop {
            let done = match self.client.find(Locator::XPath(path)).await {
                Ok(element) => act(element).await,
                Err(error) => Err(error),
            };
            match done {
                Ok(done) => return done,
                Err(error) if began.elapsed() > SOON => {
                    panic!("{path}: {error}, on {}", self.text().await)
                }
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    /// Waits until the page says this.
    pub(crate) async fn says(&self, words: &str) {
        let began = Instant::now();
        loop {
            let text = self.text().await;
            if text.contains(words) {
                return;
            }
            assert!(began.elapsed() < SOON, "{words:?} is never said by {text}");
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Loads the page again until it says what others do meanwhile.
    pub(crate) async fn comes_to_say(&self, words: &str) {
        let began = Instant::now();
        while !self.text().await.contains(words) {
            assert!(began.elapsed() < SOON, "{words:?} never comes");
            tokio::time::sleep(PAUSE).await;
            self.reload().await;
        }
    }

    /// Sees that a page which is there does not say this.
    pub(crate) async fn says_nothing_of(&self, words: &str) {
        let text = self.text().await;
        assert!(!text.contains(words), "{words:?} is said by {text}");
    }

    /// What the page shows, in one line.
    pub(crate) async fn text(&self) -> String {
        const TEXT: &str = "return document.body ? document.body.innerText : ''";
        self.words(TEXT).await
    }

    /// What the list's entry shows in which these words are, in one line.
    pub(crate) async fn entry(&self, words: &str) -> String {
        let entry = format!(
            "//main//li[contains(normalize-space(.), {})]",
            quoted(words)
        );
        let text = self.on(&entry, async |entry| entry.text().await).await;
        in_one_line(&text)
    }

    async fn words(&self, script: &str) -> String {
        // A page that is being left has no text.
        let text = self.client.execute(script, vec![]).await;
        in_one_line(text.unwrap_or_default().as_str().unwrap_or_default())
    }

    /// The names of everything in the page's content that can be used, in its order.
    pub(crate) async fn controls(&self) -> Vec<String> {
        const CONTROLS: &str = "
            const all = document.querySelectorAll('main :is(a, button, input, select, textarea)');
            const shown = [...all].filter((control) => control.checkVisibility() && !control.disabled);
            const name = (control) => control.labels?.[0] ?? control;
            return shown.map((control) => name(control).textContent.replace(/\\s+/g, ' ').trim());";
        let controls = self.execute(CONTROLS, vec![]).await;
        serde_json::from_value(controls).unwrap()
    }

    /// Where the browser is: path, query and fragment.
    pub(crate) async fn path(&self) -> String {
        let address = self.client.current_url().await.unwrap();
        address.as_str().strip_prefix(&self.url).unwrap().to_owned()
    }

    /// Waits until the browser is at a path.
    pub(crate) async fn is_at(&self, path: &str) {
        let began = Instant::now();
        while self.path().await != path {
            let elsewhere = began.elapsed() > SOON;
            assert!(!elsewhere, "at {}, not at {path}", self.path().await);
            tokio::time::sleep(PAUSE).await;
        }
    }

    pub(crate) async fn execute(&self, script: &str, arguments: Vec<Json>) -> Json {
        self.client.execute(script, arguments).await.unwrap()
    }

    /// Runs a script that answers by calling its last argument.
    pub(crate) async fn execute_async(&self, script: &str) -> Json {
        self.client.execute_async(script, vec![]).await.unwrap()
    }

    /// Speaks the DevTools protocol.
    pub(crate) async fn tools(&self, command: &str, parameters: Json) -> Json {
        let body = json!({ "cmd": command, "params": parameters });
        self.extension("goog/cdp/execute", body).await
    }

    async fn extension(&self, path: &'static str, body: Json) -> Json {
        let command = Extension { path, body };
        self.client.issue_cmd(command).await.unwrap()
    }

    /// Sees that nothing on any page so far broke the policy of its scripts and styles, and no script failed.
    pub(crate) async fn has_no_complaint(&self) {
        let complaints = self.complaints().await;
        assert!(complaints.is_empty(), "the console says {complaints:?}");
    }

    /// What the console said since it was asked last, but for answers of 4xx.
    pub(crate) async fn complaints(&self) -> Vec<String> {
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

/// A string of XPath, which knows no escapes.
fn quoted(text: &str) -> String {
    assert!(!text.contains('"'), "{text}");
    format!("\"{text}\"")
}
