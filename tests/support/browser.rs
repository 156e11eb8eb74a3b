//! Debian's Chromium, driven over WebDriver (<https://www.w3.org/TR/webdriver2/>) by its own driver.
//!
//! Needs `chromium` and `chromium-driver`. Only the few commands that the tests need; each has to
//! succeed.

use super::daemon::Daemon;
use super::waiting::{DEADLINE, eventually};
use serde_json::{Value, json};
use tempfile::TempDir;

/// By what WebDriver names an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A browser with one window and nothing in its memory.
pub(crate) struct Browser {
    agent: ureq::Agent,
    session: String,
    _driver: Daemon,
    _folder: TempDir,
}

impl Browser {
    pub(crate) fn start() -> Self {
        let folder = TempDir::new().unwrap();
        // It says on standard output where it listens.
        let wrapper = ["sh", "-c", "exec \"$0\" \"$@\" >&2"].map(str::to_owned);
        let environment = [("TMPDIR", folder.path().to_str().unwrap())];
        let driver = Daemon::start_within(&wrapper, "chromedriver", &["--port=0"], &environment);
        let line = driver.wait_for("started successfully on port ");
        let port = line.rsplit(' ').next().unwrap().trim_end_matches('.');
        let agent = ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build();
        let mut browser = Self {
            agent: agent.into(),
            session: format!("http://127.0.0.1:{port}/session"),
            _driver: driver,
            _folder: folder,
        };
        // In a container Chromium has no sandbox of its own; it sees nothing but this server's pages.
        let arguments = ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage"];
        let options = json!({
            "acceptInsecureCerts": true,
            "goog:chromeOptions": {"args": arguments},
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        });
        let begun = browser.post("", json!({"capabilities": {"alwaysMatch": options}}));
        browser.session = format!("{}/{}", browser.session, begun["sessionId"].as_str().unwrap());
        browser
    }

    /// Opens an address, and waits until the page is there.
    pub(crate) fn open(&self, address: &str) {
        self.post("/url", json!({"url": address}));
    }

    /// What a script returns that runs beside the page, whatever the page's policy is.
    pub(crate) fn ask(&self, script: &str) -> Value {
        self.post("/execute/sync", json!({"script": format!("return {script}"), "args": []}))
    }

    /// Types a text and ends it with the return key.
    pub(crate) fn type_into(&self, css: &str, text: &str) {
        let element = self.find(css);
        self.post(&format!("/element/{element}/value"), json!({"text": format!("{text}\u{e007}")}));
    }

    pub(crate) fn click(&self, css: &str) {
        let element = self.find(css);
        self.post(&format!("/element/{element}/click"), json!({}));
    }

    /// Waits until the page has an element like this.
    pub(crate) fn wait_for(&self, css: &str) {
        let question = format!("document.querySelector({css:?}) !== null");
        eventually(DEADLINE, css, || (self.ask(&question) == true).then_some(()));
    }

    /// The cookies of the page, those that no script sees included.
    pub(crate) fn cookies(&self) -> Value {
        self.get("/cookie")
    }

    /// Shows the page as a window of this width does, in light or dark mode.
    pub(crate) fn look_like(&self, width: u32, scheme: &str) {
        let size =
            json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500});
        self.cdp("Emulation.setDeviceMetricsOverride", size);
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.cdp("Emulation.setEmulatedMedia", features);
    }

    /// Every address that was asked for since the last call.
    pub(crate) fn requested(&self) -> Vec<String> {
        let entries = self.post("/se/log", json!({"type": "performance"}));
        let events = entries.as_array().unwrap().iter();
        let events =
            events.map(|entry| serde_json::from_str(entry["message"].as_str().unwrap()).unwrap());
        let events = events.map(|event: Value| event["message"].clone());
        events
            .filter(|event| event["method"] == "Network.requestWillBeSent")
            .map(|event| event["params"]["request"]["url"].as_str().unwrap().to_owned())
            .collect()
    }

    /// What the browser complained of since the last call, such as what a policy does not allow.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let entries = self.post("/se/log", json!({"type": "browser"}));
        let entries = entries.as_array().unwrap().iter();
        entries.map(|entry| entry["message"].as_str().unwrap().to_owned()).collect()
    }

    fn cdp(&self, command: &str, parameters: Value) {
        self.post("/goog/cdp/execute", json!({"cmd": command, "params": parameters}));
    }

    fn find(&self, css: &str) -> String {
        let found = self.post("/element", json!({"using": "css selector", "value": css}));
        found[ELEMENT].as_str().unwrap().to_owned()
    }

    #[track_caller]
    fn get(&self, path: &str) -> Value {
        let answer = self.agent.get(format!("{}{path}", self.session)).call();
        Self::value(path, answer)
    }

    #[track_caller]
    fn post(&self, path: &str, body: Value) -> Value {
        let request = self.agent.post(format!("{}{path}", self.session));
        let answer = request.header("Content-Type", "application/json").send(body.to_string());
        Self::value(path, answer)
    }

    #[track_caller]
    fn value(path: &str, answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Value {
        let mut answer = answer.unwrap();
        let text = answer.body_mut().read_to_string().unwrap();
        assert_eq!(answer.status(), 200, "{path}: {text}");
        serde_json::from_str::<Value>(&text).unwrap()["value"].take()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver alone knows the browser's processes.
        let _ = self.agent.delete(&self.session).call();
    }
}
