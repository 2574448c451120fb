//! A real browser, driven through chromedriver as WebDriver has it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

/// A browser's first start, beside encoders at work, takes most of a minute on two cores.
const LIMIT: Duration = Duration::from_secs(240);

/// Browsers one after the other: several at once are slower than that.
static TURN: Mutex<()> = Mutex::new(());

/// Ends with the test, and its profile with it.
pub struct Browser {
    driver: Child,
    port: u16,
    session: String,
    /// Open, as it would end when nobody hears it.
    _said: BufReader<ChildStdout>,
    _profile: tempfile::TempDir,
    _turn: MutexGuard<'static, ()>,
}

impl Browser {
    pub fn new() -> Browser {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("chromedriver: {error}; apt-get install chromium chromium-driver"));
        let mut said = BufReader::new(driver.stdout.take().expect("piped"));
        // Its first line tells of port 0, the one that it was told.
        let port = said
            .by_ref()
            .lines()
            .map_while(Result::ok)
            .find_map(|line| line.rsplit_once("successfully on port ")?.1.trim_end_matches('.').parse().ok());
        let port = port.expect("it tells its port");
        let profile = tempfile::tempdir().expect("a folder");
        // As root there is no sandbox; nothing but the page of the test is opened.
        let words = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--hide-scrollbars",
        ];
        let mut arguments: Vec<String> = words.map(str::to_owned).into();
        arguments.push(format!("--user-data-dir={}", profile.path().display()));
        let mut browser = Browser { driver, port, session: String::new(), _said: said, _profile: profile, _turn: turn };
        let wanted = json!({"capabilities": {"alwaysMatch": {"browserName": "chrome", "goog:chromeOptions": {"args": arguments}}}});
        let session = browser.ask("POST", "/session", &wanted).unwrap_or_else(|error| panic!("no browser: {error:#}"));
        browser.session = session["sessionId"].as_str().expect("a session").to_owned();
        browser
    }

    pub fn open(&self, url: &str) {
        self.command("url", &json!({"url": url}));
    }

    /// The value of a JavaScript expression, which works where the page itself may run none.
    pub fn value(&self, expression: &str) -> Value {
        self.command("execute/sync", &json!({"script": format!("return {expression}"), "args": []}))
    }

    pub fn text(&self) -> String {
        self.value("document.body.innerText").as_str().unwrap_or_default().to_owned()
    }

    /// Presses keys, one after the other, as on a keyboard.
    pub fn press(&self, keys: &[&str]) {
        let actions: Vec<Value> =
            keys.iter().flat_map(|key| [json!({"type": "keyDown", "value": key}), json!({"type": "keyUp", "value": key})]).collect();
        self.command("actions", &json!({"actions": [{"type": "key", "id": "keyboard", "actions": actions}]}));
    }

    pub fn click(&self, selector: &str) {
        self.wait(selector, |browser| {
            let wanted = json!({"using": "css selector", "value": selector});
            let Ok(found) = browser.try_command("element", &wanted) else { return false };
            let element =
                found.as_object().and_then(|object| object.values().next()).and_then(Value::as_str).expect("an element").to_owned();
            // A page that is loaded anew meanwhile has another.
            browser.try_command(&format!("element/{element}/click"), &json!({})).is_ok()
        });
    }

    /// Width and height of what is seen, dots of the screen for each of its dots, and whether it is dark around.
    pub fn look(&self, (width, height): (u32, u32), dense: u32, dark: bool) {
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": dense, "mobile": width < 600});
        self.developer("Emulation.setDeviceMetricsOverride", &metrics);
        let scheme = json!({"name": "prefers-color-scheme", "value": if dark { "dark" } else { "light" }});
        self.developer("Emulation.setEmulatedMedia", &json!({"features": [scheme]}));
    }

    pub fn javascript(&self, runs: bool) {
        self.developer("Emulation.setScriptExecutionDisabled", &json!({"value": !runs}));
    }

    /// The whole page, as it would be seen on a screen that is high enough.
    pub fn picture(&self, file: &Path) {
        let size = self.value("[window.innerWidth, document.documentElement.scrollHeight]");
        let clip = json!({"x": 0, "y": 0, "width": size[0], "height": size[1], "scale": 1});
        let picture = self.developer("Page.captureScreenshot", &json!({"captureBeyondViewport": true, "clip": clip}));
        let bytes = BASE64.decode(picture["data"].as_str().expect("a picture")).expect("base64");
        std::fs::write(file, bytes).expect("written");
    }

    /// Looks until it is so.
    pub fn wait(&self, what: &str, is_so: impl Fn(&Browser) -> bool) {
        let end = Instant::now() + LIMIT;
        while !is_so(self) {
            assert!(Instant::now() < end, "waited for {what}; the page says: {}", self.text());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn developer(&self, command: &str, parameters: &Value) -> Value {
        self.command("goog/cdp/execute", &json!({"cmd": command, "params": parameters}))
    }

    fn command(&self, path: &str, body: &Value) -> Value {
        self.try_command(path, body).unwrap_or_else(|error| panic!("{path}: {error:#}"))
    }

    fn try_command(&self, path: &str, body: &Value) -> Result<Value, Value> {
        self.ask("POST", &format!("/session/{}/{path}", self.session), body)
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> Result<Value, Value> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("chromedriver listens");
        stream.set_read_timeout(Some(LIMIT)).expect("set");
        let body = body.to_string();
        let head = format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: {}", body.len());
        write!(stream, "{head}\r\n\r\n{body}").expect("sent");
        // It does not hang up by itself, whatever it says of the connection.
        let mut reader = BufReader::new(stream);
        let (mut line, mut length) = (String::new(), 0);
        while reader.read_line(&mut line).expect("answered") > 2 {
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().expect("a number");
            }
            line.clear();
        }
        let mut body = Vec::new();
        reader.take(length).read_to_end(&mut body).expect("answered");
        let mut answer: Value = serde_json::from_slice(&body).expect("JSON");
        let value = answer["value"].take();
        if value["error"].is_null() { Ok(value) } else { Err(value) }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() && !std::thread::panicking() {
            let _ = self.ask("DELETE", &format!("/session/{}", self.session), &json!({}));
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
