//! tower-http's `ServeDir` with compression and tracing.

use std::fs;
use std::time::{Duration, SystemTime};

use httpd_testkit::{BodyEnd, Mpm};

use crate::site::{Application, Folder, Mode, Site, in_every_mode};

in_every_mode! {
    pages
    conditions
    ranges
    compression
    a_large_file
    tracing
    a_folder_redirects
}

const TEXT: &str = "The quick brown fox jumps over the lazy dog.\n";

/// Returns a text that a compressor does not skip.
fn text() -> String {
    TEXT.repeat(500)
}

fn folder() -> Folder {
    let folder = Folder::new();
    folder.write("index.html", "<p>Start</p>\n");
    folder.write("a.txt", text());
    folder.write("sub/index.html", "<p>Below</p>\n");
    folder.write("sub/white space %.txt", "odd\n");
    folder.write("picture.png", [0x89, b'P', b'N', b'G'].repeat(1000));
    folder
}

fn start(folder: &Folder, mode: Mode, mpm: Mpm) -> Site {
    application(folder).start(mode, mpm)
}

fn application(folder: &Folder) -> Application {
    Application::new("files", "/files").option("root", folder.path().display().to_string())
}

fn pages(mode: Mode, mpm: Mpm) {
    let folder = folder();
    let site = start(&folder, mode, mpm);
    for (target, body) in [
        ("/files", "<p>Start</p>\n"),
        ("/files/", "<p>Start</p>\n"),
        ("/files/index.html", "<p>Start</p>\n"),
        ("/files/sub/", "<p>Below</p>\n"),
        ("/files/a.txt?query=ignored", &text()),
        ("/files/sub/white%20space%20%25.txt", "odd\n"),
    ] {
        let response = site.get(target);
        assert_eq!((response.status, response.text()), (200, body), "{target}: {response:?}");
        assert_eq!(response.end, BodyEnd::Length, "{target}");
    }
    let page = site.get("/files/");
    assert_eq!(page.header("content-type"), Some("text/html"));
    assert_eq!(site.get("/files/picture.png").header("content-type"), Some("image/png"));

    let head = site.request("HEAD", "/files/a.txt").send();
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("content-length"), Some(text().len().to_string().as_str()));

    for target in ["/files/nothing.txt", "/files/sub/nothing/", "/files/a.txt/below"] {
        let response = site.get(target);
        assert_eq!((response.status, response.body.len()), (404, 0), "{target}: {response:?}");
    }
    let post = site.request("POST", "/files/a.txt").body("unwanted").send();
    assert_eq!((post.status, post.header("allow")), (405, Some("GET,HEAD")), "{post:?}");
    for target in ["/files/../../etc/passwd", "/files/%2e%2e/%2e%2e/etc/passwd"] {
        let status = site.get(target).status;
        assert!((400..500).contains(&status), "{target}: {status}");
    }
}

fn conditions(mode: Mode, mpm: Mpm) {
    let folder = folder();
    let site = start(&folder, mode, mpm);
    let modified = site.get("/files/a.txt").header("last-modified").map(str::to_owned);
    let modified = modified.expect("a Last-Modified");
    let with = |name: &str, value: &str| {
        let response = site.request("GET", "/files/a.txt").header(name, value).send();
        (response.status, response.body.len())
    };
    let (old, length) = ("Thu, 01 Jan 2015 00:00:00 GMT", text().len());
    assert_eq!(with("If-Modified-Since", &modified), (304, 0));
    assert_eq!(with("If-Modified-Since", old), (200, length));
    assert_eq!(with("If-Unmodified-Since", &modified), (200, length));
    assert_eq!(with("If-Unmodified-Since", old).0, 412);
    let tag = site.get("/files/a.txt").header("etag").map(str::to_owned).expect("an ETag");
    assert_eq!(with("If-None-Match", &tag), (304, 0));
    assert_eq!(with("If-None-Match", "\"other\""), (200, length));

    let file = fs::File::options().write(true).open(folder.path().join("a.txt"));
    let later = SystemTime::now() + Duration::from_secs(3600);
    file.and_then(|file| file.set_modified(later)).expect("the test's own file");
    assert_eq!(with("If-Modified-Since", &modified), (200, length));
}

fn ranges(mode: Mode, mpm: Mpm) {
    let folder = folder();
    let site = start(&folder, mode, mpm);
    let (whole, length) = (text(), text().len());
    let range = |value: &str| site.request("GET", "/files/a.txt").header("Range", value).send();
    for (value, first, last) in [
        ("bytes=0-0", 0, 0),
        ("bytes=10-99", 10, 99),
        ("bytes=22000-", 22_000, length - 1),
        ("bytes=-100", length - 100, length - 1),
    ] {
        let part = range(value);
        assert_eq!((part.status, part.text()), (206, &whole[first..=last]), "{value}: {part:?}");
        let expected = format!("bytes {first}-{last}/{length}");
        assert_eq!(part.header("content-range"), Some(expected.as_str()));
        assert_eq!(part.header("accept-ranges"), Some("bytes"));
    }
    let beyond = range("bytes=99999999-");
    let expected = format!("bytes */{length}");
    assert_eq!((beyond.status, beyond.header("content-range")), (416, Some(expected.as_str())));
    // Clients that may have it compressed get parts of what is not.
    let part = site
        .request("GET", "/files/a.txt")
        .header("Range", "bytes=10-99")
        .header("Accept-Encoding", "gzip")
        .send();
    assert_eq!((part.status, part.text()), (206, &whole[10..=99]), "{part:?}");
}

fn compression(mode: Mode, mpm: Mpm) {
    let folder = folder();
    let site = start(&folder, mode, mpm);
    for encoding in ["gzip", "br"] {
        let response =
            site.request("GET", "/files/a.txt").header("Accept-Encoding", encoding).send();
        assert_eq!((response.status, response.header("content-encoding")), (200, Some(encoding)));
        assert!(response.end.is_complete(), "{response:?}");
        assert!(response.body.len() < text().len() / 10, "{} bytes", response.body.len());
        let vary = response.header("vary").unwrap_or_default().to_ascii_lowercase();
        assert!(vary.contains("accept-encoding"), "{response:?}");
        let accept = format!("Accept-Encoding: {encoding}");
        let decoded = site.curl(&["--compressed", "--header", &accept], "/files/a.txt");
        assert_eq!(decoded, text().as_bytes(), "{encoding}");
    }
    let picture = site.request("GET", "/files/picture.png").header("Accept-Encoding", "gzip");
    let picture = picture.send();
    assert_eq!((picture.status, picture.header("content-encoding")), (200, None));
    assert_eq!(picture.body.len(), 4000);
}

fn a_large_file(mode: Mode, mpm: Mpm) {
    let byte = |at: usize| (at % 251) as u8;
    let length = 48 << 20;
    let folder = folder();
    folder.write("large.bin", (0..length).map(byte).collect::<Vec<_>>());
    let site = start(&folder, mode, mpm);
    let mut seen = 0;
    let response = site.request("GET", "/files/large.bin").send_with(|piece| {
        let right = piece.iter().enumerate().all(|(index, got)| *got == byte(seen + index));
        assert!(right, "a byte after {seen} is not the file's");
        seen += piece.len();
    });
    assert_eq!((response.status, seen), (200, length));
    assert_eq!(response.end, BodyEnd::Length);
}

/// Checks that `TraceLayer`'s events are lines of the ErrorLog, or of the program's log.
fn tracing(mode: Mode, mpm: Mpm) {
    let folder = folder();
    let site = start(&folder, mode, mpm);
    assert_eq!(site.get("/files/a.txt").status, 200);
    let line = site.wait_log("finished processing request");
    assert!(line.contains("debug]") && line.contains("status=200"), "{line}");
}

/// Checks the redirect, which `ServeDir` makes from the path below the mount. Such an application
/// is mounted at `/`, or httpd adds the mount; nginx has no such directive.
fn a_folder_redirects(mode: Mode, mpm: Mpm) {
    let folder = folder();
    let location = |site: &Site, target: &str| {
        let response = site.get(target);
        assert_eq!(response.status, 307, "{response:?}");
        response.header("location").map(str::to_owned)
    };
    let below = start(&folder, mode, mpm);
    assert_eq!(location(&below, "/files/sub").as_deref(), Some("/sub/"));
    if mode == Mode::Nginx {
        return;
    }
    let edited = application(&folder).conf("Header edit Location \"^/(?!files/)\" \"/files/\"\n");
    let edited = edited.start(mode, mpm);
    assert_eq!(location(&edited, "/files/sub").as_deref(), Some("/files/sub/"));
    let root = Application { mount: "/", ..application(&folder) }.start(mode, mpm);
    assert_eq!(location(&root, "/sub").as_deref(), Some("/sub/"));
}
