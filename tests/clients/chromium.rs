//! Chromium without a window, spoken to in its DevTools protocol: JSON that ends with a NUL, through
//! pipes.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::sites::find;

/// For what should take no time.
const PATIENCE: Duration = Duration::from_secs(60);

/// The names of the program.
const NAMES: [&str; 4] =
    ["chromium-headless-shell", "chromium", "google-chrome", "chromium-browser"];

/// The descriptors that the browser reads from and writes to are 3 and 4.
const WITH_PIPES: &str = "exec \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>\"$0\"";

/// A browser that runs. Dropping it kills it.
pub(crate) struct Browser {
    child: Child,
    requests: ChildStdin,
    answers: Receiver<Value>,
    last: u64,
}

/// A page of it.
pub(crate) struct Page<'b> {
    browser: &'b mut Browser,
    session: String,
}

impl Browser {
    /// Starts one that keeps its files below `folder`, or says what to install.
    pub(crate) fn start(folder: &Path) -> Option<Self> {
        let works = |program: &mut Command| {
            let version = program.arg("--version").stderr(Stdio::null()).stdout(Stdio::null());
            version.status().is_ok_and(|status| status.success())
        };
        let program = find(&NAMES, works, "chromium-headless-shell, or chromium")?;
        let mut command = Command::new("sh");
        command.args(["-c", WITH_PIPES]).arg(folder.join("browser.log")).arg(program);
        // Only pages of these tests are shown; the certificates are those of the tests too.
        command.args(["--headless", "--no-sandbox", "--ignore-certificate-errors"]);
        command.args(["--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]);
        command.args(["--disable-background-networking", "--no-proxy-server"]);
        command.arg(format!("--user-data-dir={}", folder.join("browser").display()));
        command.args(["--remote-debugging-pipe", "about:blank"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("sh");
        let requests = child.stdin.take().expect("a pipe");
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        let (sender, answers) = channel();
        thread::spawn(move || {
            for message in output.split(0) {
                let Ok(message) = message else { return };
                let answer: Value = serde_json::from_slice(&message).expect("JSON");
                // Events have no id, and nobody asked for them.
                if answer["id"].is_u64() && sender.send(answer).is_err() {
                    return;
                }
            }
        });
        Some(Self { child, requests, answers, last: 0 })
    }

    /// Opens a page.
    pub(crate) fn open(&mut self, url: &str) -> Page<'_> {
        let target =
            self.call(json!({ "method": "Target.createTarget", "params": { "url": url } }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session = self.call(json!({ "method": "Target.attachToTarget", "params": attach }));
        let session = session["sessionId"].as_str().expect("a session").to_owned();
        Page { browser: self, session }
    }

    fn call(&mut self, mut request: Value) -> Value {
        self.last += 1;
        request["id"] = self.last.into();
        let written = self.requests.write_all(format!("{request}\0").as_bytes());
        written.expect("the browser reads");
        let answer = self.answers.recv_timeout(PATIENCE).expect("the browser answers");
        assert_eq!(answer["id"], self.last, "{answer}");
        assert_eq!(answer["error"], Value::Null, "{request}: {answer}");
        answer["result"].clone()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Its other processes end with it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Page<'_> {
    /// Evaluates an expression of JavaScript in the page.
    pub(crate) fn ask(&mut self, expression: &str) -> Value {
        let params = json!({ "expression": expression, "returnByValue": true });
        let request = json!({
            "method": "Runtime.evaluate", "params": params, "sessionId": self.session
        });
        let answer = self.browser.call(request);
        assert_eq!(answer["exceptionDetails"], Value::Null, "{expression}: {answer}");
        answer["result"]["value"].clone()
    }
}
