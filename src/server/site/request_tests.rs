use std::cell::RefCell;
use std::fs::File;
use std::sync::Arc;
use std::task::Waker;

use bytes::Bytes;
use http::HeaderMap;

use super::*;
use crate::gateway::{Body, FileBody, Interest, Level, StartResponse, Woken};
use crate::server::site::{
    FinalHead, HeadBudget, Limits, Log, Mount, Mounts, ProcessInfo, Timeouts,
};
use crate::{Environ as View, Error};

/// Takes a response into memory.
#[derive(Default)]
struct Taken {
    bytes: RefCell<Vec<u8>>,
    log: RefCell<Vec<String>>,
    leaves_after: Option<usize>,
}

impl Sink for Taken {
    fn head(&self, head: &FinalHead<'_>) -> Result<()> {
        head.write_cgi(&mut self.bytes.borrow_mut());
        Ok(())
    }

    fn write(&self, data: Bytes) -> Result<()> {
        self.bytes.borrow_mut().extend_from_slice(&data);
        match self.leaves_after {
            Some(most) if self.bytes.borrow().len() > most => {
                Err(Error::of(ErrorKind::ClientGone, "the client went away"))
            }
            _ => Ok(()),
        }
    }

    fn flush(&self) -> Result<()> {
        Ok(())
    }

    fn finish(&self, _trailers: Option<HeaderMap>) -> Result<()> {
        self.bytes.borrow_mut().extend_from_slice(b"|END");
        Ok(())
    }

    fn log(&self, _level: Level, message: &str) -> bool {
        self.log.borrow_mut().push(message.to_owned());
        true
    }

    fn waker(&self) -> Waker {
        Waker::noop().clone()
    }

    fn park(&self, _interest: Interest) -> Woken {
        Woken::Called
    }
}

fn application<'x>(environ: View<'x>, start_response: StartResponse<'x>) -> Result<Body<'x>> {
    match environ.path_info() {
        b"/file" => {
            start_response.start(200, [("Content-Type", "text/plain"), ("ETag", "\"v1\"")])?;
            let path = std::env::temp_dir().join(format!("mod_rust-site-{}", std::process::id()));
            if !path.exists() {
                std::fs::write(&path, b"0123456789")?;
            }
            Ok(Body::file(FileBody::new(File::open(path)?)?))
        }
        b"/error" => Err(Error::new("the database is away")),
        b"/loop" => Ok(Body::internal_redirect("/a/loop")),
        b"/there" => Ok(Body::internal_redirect("/a/here?x")),
        b"/here" => {
            start_response.start(200, [("X-From", environ.get("REDIRECT_URL").unwrap_or(b"-"))])?;
            Ok(Body::from(environ.query_string().to_vec()))
        }
        b"/late" => {
            let mut writer = start_response.start(200, [("X-A", "b")])?;
            writer.put("some")?;
            Err(Error::new("out of words"))
        }
        _ => {
            start_response.start(200, [("Content-Type", "text/plain")])?;
            Ok(Body::from("hello"))
        }
    }
}

fn site() -> Site {
    let application = Arc::new(application);
    let mount = |path: &str| Mount {
        path: path.into(),
        name: "shop".into(),
        application: application.clone(),
    };
    Site {
        mounts: Mounts::new([mount("/a")]),
        facts: ProcessInfo::new(1, false, false),
        log: Arc::new(Log::to_stderr(Level::Trace)),
        access: None,
        recycling: None,
        running: None,
        limits: Limits::default(),
        timeouts: Timeouts::default(),
        heads: HeadBudget::new(&Limits::default()),
    }
}

fn ask(mode: Mode, pairs: &[(&str, &str)], taken: &Taken) -> (ResponseEnd, String) {
    let mut params = Params::new();
    params.push(b"REQUEST_METHOD", b"GET");
    for (key, value) in pairs {
        params.push(key.as_bytes(), value.as_bytes());
    }
    let ending = serve(&site(), mode, &params, taken, &mut Empty);
    (ending, String::from_utf8_lossy(&taken.bytes.borrow()).into_owned())
}

fn get(path: &str, headers: &[(&str, &str)]) -> String {
    let pairs = [&[("PATH_INFO", path)], headers].concat();
    let (ending, text) = ask(Mode::Scgi, &pairs, &Taken::default());
    assert_eq!(ending, ResponseEnd::Whole, "{path}: {text}");
    text
}

#[test]
fn a_document() {
    assert_eq!(
        get("/a", &[]),
        "Status: 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello|END"
    );
    assert_eq!(
        get("/a", &[("REQUEST_METHOD", "HEAD")]),
        "Status: 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\n|END"
    );
}

#[test]
fn nothing_mounted_is_a_404() {
    let taken = Taken::default();
    let (ending, text) = ask(Mode::FastCgi, &[("PATH_INFO", "/b")], &taken);
    assert_eq!(ending, ResponseEnd::Whole);
    assert!(text.starts_with("Status: 404 Not Found\r\nContent-Type: text/html"), "{text}");
    assert!(taken.log.borrow()[0].starts_with("RUST0050: "));
}

#[test]
fn errors_are_pages_and_lines() {
    let taken = Taken::default();
    let (_, text) = ask(Mode::FastCgi, &[("PATH_INFO", "/a/error")], &taken);
    assert!(text.starts_with("Status: 500 Internal Server Error\r\n"), "{text}");
    assert!(!text.contains("database"), "{text}");
    assert_eq!(
        *taken.log.borrow(),
        ["RUST0005: application shop: the database is away; answering 500"]
    );
    let taken = Taken::default();
    let (ending, text) = ask(Mode::FastCgi, &[("PATH_INFO", "/a/late")], &taken);
    assert_eq!(ending, ResponseEnd::Broken);
    assert!(text.ends_with("some"), "{text}");
    assert!(taken.log.borrow()[0].ends_with("; breaking the response off"));
    let taken = Taken { leaves_after: Some(1), ..Taken::default() };
    let (ending, _) = ask(Mode::FastCgi, &[("PATH_INFO", "/a/late")], &taken);
    assert_eq!(ending, ResponseEnd::Gone);
    assert!(taken.log.borrow()[0].starts_with("RUST0003: "));
}

#[test]
fn redirects_are_the_web_servers_or_our_own() {
    let there = ("PATH_INFO", "/a/there");
    for (mode, software, expected) in [
        (Mode::Scgi, "Apache", "Location: /a/here?x\r\n\r\n|END"),
        (Mode::FastCgi, "nginx/1.26", "X-Accel-Redirect: /a/here?x\r\n\r\n|END"),
    ] {
        let pairs = [there, ("SERVER_SOFTWARE", software)];
        assert_eq!(ask(mode, &pairs, &Taken::default()), (ResponseEnd::Whole, expected.into()));
    }
    let (_, text) = ask(Mode::Http, &[there], &Taken::default());
    assert_eq!(text, "Status: 200 OK\r\nX-From: /a/there\r\nContent-Length: 1\r\n\r\nx|END");
    let taken = Taken::default();
    let (_, text) = ask(Mode::Http, &[("PATH_INFO", "/a/loop")], &taken);
    assert!(text.starts_with("Status: 500 Internal"), "{text}");
    assert!(taken.log.borrow()[0].starts_with("RUST0051: "));
}

#[test]
fn files_have_validators_and_ranges() {
    let text = get("/a/file", &[]);
    for part in
        ["ETag: \"v1\"\r\n", "Last-Modified: ", "Accept-Ranges: bytes", "\r\n\r\n0123456789"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    let text = get("/a/file", &[("HTTP_RANGE", "bytes=2-4")]);
    assert!(text.starts_with("Status: 206 Partial Content\r\n"), "{text}");
    assert!(text.contains("Content-Range: bytes 2-4/10\r\n"), "{text}");
    assert!(text.ends_with("Content-Length: 3\r\n\r\n234|END"), "{text}");
    let text = get("/a/file", &[("HTTP_RANGE", "bytes=0-0,9-")]);
    assert!(text.contains("Content-Type: multipart/byteranges; boundary="), "{text}");
    assert!(text.contains("Content-range: bytes 9-9/10\r\n\r\n9\r\n--"), "{text}");
    let (head, body) = text.trim_end_matches("|END").split_once("\r\n\r\n").unwrap();
    assert!(head.ends_with(&format!("Content-Length: {}", body.len())), "{text}");
    let text = get("/a/file", &[("HTTP_RANGE", "bytes=10-")]);
    assert!(text.starts_with("Status: 416 Range Not Satisfiable\r\n"), "{text}");
    assert!(text.contains("Content-Range: bytes */10\r\n"), "{text}");
    let text = get("/a/file", &[("HTTP_IF_NONE_MATCH", "\"v1\"")]);
    assert_eq!(text, "Status: 304 Not Modified\r\nETag: \"v1\"\r\n\r\n|END");
    let text = get("/a/file", &[("HTTP_IF_MATCH", "\"v2\"")]);
    assert!(text.starts_with("Status: 412 Precondition Failed\r\n"), "{text}");
}
