//! `tidings dev` and Chromium, with a hand on both.

use std::path::PathBuf;
use std::time::Duration;

use fantoccini::elements::Element;
use fantoccini::wd::Capabilities;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tempfile::TempDir;
use tidings_testkit::{Process, eventually, nats_server_binary, target_bin};

use crate::client::{Answer, Http, post};

/// Long enough for a busy machine to draw a page.
pub(super) const SOON: Duration = Duration::from_secs(30);
/// The admin token.
pub(super) const TOKEN: &str = "tdg_only-for-tests-of-the-browser";

const DRIVER_UP: &str = "was started successfully on port ";
const REMEDY: &str = "run tools/browser.sh, which installs what browser tests need";

/// Everything that a browser test needs. Ends, with its files, when dropped.
pub(super) struct Stage {
    pub(super) browser: Client,
    http: Http,
    console: String,
    events: String,
    _driver: Process,
    _dev: Process,
    _folders: [TempDir; 2],
}

impl Stage {
    /// Starts all of it.
    pub(super) async fn start() -> Self {
        let folders = [(); 2].map(|()| tempfile::tempdir().expect("a folder can be made"));
        let dev = Process::launch(target_bin("tidings"))
            .args(["--log", "warn", "dev", "--data-dir"])
            .arg(folders[0].path())
            .args(["--ingest-listen", "127.0.0.1:0"])
            .args(["--console-listen", "127.0.0.1:0"])
            .args(["--nats-listen", "127.0.0.1:0"])
            .env("TIDINGS_TOKEN", TOKEN)
            .env("TIDINGS_NATS_SERVER", nats_server_binary())
            .start();
        let driver = Process::launch(found("chromedriver"))
            .arg("--port=0")
            .start();
        let up = driver.wait_for_log(DRIVER_UP, SOON).await;
        let port: String = up
            .split(DRIVER_UP)
            .nth(1)
            .expect("the line was found by it")
            .chars()
            .take_while(char::is_ascii_digit)
            .collect();
        let profile = folders[1].path().display();
        let browser = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities(&profile.to_string()))
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .unwrap_or_else(|error| panic!("no browser: {error}; {REMEDY}"));
        dev.wait_for_log("is ready; Ctrl-C ends it", SOON * 2).await;
        let log = dev.log();
        let shown = |name: &str| {
            let line = log.lines().find_map(|line| line.trim().strip_prefix(name));
            let line = line.unwrap_or_else(|| panic!("no {name} in {log}"));
            let word = line.split_whitespace().next().expect("an address follows");
            word.trim_end_matches('/').to_owned()
        };
        Self {
            browser,
            http: Http::new(),
            console: shown("console"),
            events: shown("events"),
            _driver: driver,
            _dev: dev,
            _folders: folders,
        }
    }

    /// Goes to a page.
    pub(super) async fn goto(&self, path: &str) {
        let url = format!("{}{path}", self.console);
        let went = self.browser.goto(&url).await;
        went.unwrap_or_else(|error| panic!("{path}: {error}"));
    }

    pub(super) async fn sign_in(&self, token: &str) {
        self.goto("/sign-in").await;
        self.find("#token")
            .await
            .send_keys(token)
            .await
            .expect("it takes text");
        self.click("main form button").await;
    }

    /// The first element that fits, as soon as there is one.
    pub(super) async fn find(&self, css: &str) -> Element {
        let wait = self.browser.wait().at_most(SOON);
        match wait.for_element(Locator::Css(css)).await {
            Ok(found) => found,
            Err(error) => panic!("no {css}: {error}\n{}", self.text().await),
        }
    }

    pub(super) async fn click(&self, css: &str) {
        let element = self.find(css).await;
        let clicked = element.click().await;
        clicked.unwrap_or_else(|error| panic!("{css} cannot be clicked: {error}"));
    }

    pub(super) async fn fill(&self, css: &str, text: &str) {
        let element = self.find(css).await;
        element.clear().await.expect("it can be cleared");
        element.send_keys(text).await.expect("it takes text");
    }

    /// Everything that somebody sees.
    pub(super) async fn text(&self) -> String {
        let text = self
            .run("return document.body ? document.body.innerText : ''")
            .await;
        text.as_str().unwrap_or_default().to_owned()
    }

    /// Waits until somebody sees `text`, without reloading.
    pub(super) async fn sees(&self, text: &str) {
        let what = format!("{text:?} is on the page");
        eventually(SOON, &what, async || match self.text().await {
            shown if shown.contains(text) => Ok(()),
            shown => Err(shown),
        })
        .await;
    }

    pub(super) async fn run(&self, script: &str) -> Value {
        let ran = self.browser.execute(script, Vec::new()).await;
        ran.unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    /// Publishes an event.
    pub(super) async fn publish(&self, event: &Value) {
        self.send(&self.events, event).await.expect(202);
    }

    /// Calls the management API.
    pub(super) async fn post(&self, path: &str, body: &Value) -> Value {
        let url = format!("{}/api/v1{path}", self.console);
        let answer = self.send(&url, body).await;
        assert!(answer.status.is_success(), "{answer:?}");
        answer.json()
    }

    async fn send(&self, url: &str, body: &Value) -> Answer {
        let bearer = format!("Bearer {TOKEN}");
        let headers = [
            ("authorization", bearer.as_str()),
            ("content-type", "application/json"),
        ];
        let sent = self.http.send(post(url, &headers, body.to_string())).await;
        sent.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Where screenshots go; git ignores it.
    pub(super) fn screenshots() -> PathBuf {
        let target = target_bin("tidings");
        let target = target
            .ancestors()
            .nth(2)
            .expect("binaries lie in target/debug");
        let folder = target.join("screenshots");
        std::fs::create_dir_all(&folder).expect("target can be written");
        folder
    }

    /// Ends the browser.
    pub(super) async fn end(self) {
        self.browser.close().await.expect("the browser ends");
    }
}

fn capabilities(profile: &str) -> Capabilities {
    let options = json!({
        "binary": found("chromium"),
        "args": [
            "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--hide-scrollbars", "--window-size=1280,900", format!("--user-data-dir={profile}"),
        ],
    });
    let mut capabilities = Capabilities::new();
    capabilities.insert(String::from("goog:chromeOptions"), options);
    capabilities
}

/// A program on PATH.
fn found(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = std::env::split_paths(&path).map(|folder| folder.join(name));
    let found = folders.find(|file| file.is_file());
    found.unwrap_or_else(|| panic!("there is no {name}; {REMEDY}"))
}
