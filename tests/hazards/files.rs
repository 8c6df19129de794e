//! Hazard 17, for files as bodies. They are sent as httpd's own, with its filters; a change of a
//! file during the transfer affects no other request.

use std::fs::{self, OpenOptions, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};

use httpd_testkit::{Builder, Response, Server};

use crate::support::quirks;

/// The application in both modes.
const MODES: [&str; 2] = ["/probe", "/grouped"];

fn modes() -> Builder {
    quirks()
        .conf("RustAppOption root {root}/htdocs")
        .conf("RustDaemonProcess grouped processes=1\nRustAppAlias /grouped probe process-group=grouped")
        .conf("RustAppAlias /grouped-quirks quirks process-group=grouped")
}

/// Returns the head of a response without the time and the type.
fn head(response: &Response) -> Vec<(String, String)> {
    let skipped = ["date", "expires", "content-type", "x-cache"];
    let mut head: Vec<_> = response
        .headers
        .iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), value.escape_ascii().to_string()))
        .filter(|(name, _)| !skipped.contains(&name.as_str()))
        .collect();
    head.sort();
    head
}

#[test]
fn h17_a_file_goes_out_as_httpds_own_do() {
    let server = modes()
        .load("headers")
        .load("expires")
        .load("filter")
        .load("deflate")
        .file("htdocs/a.bin", "0123456789".repeat(100))
        .conf("Header set X-A 1\nHeader append Vary X-B\nExpiresActive On")
        .conf("ExpiresDefault \"access plus 1 day\"\nFileETag MTime Size")
        .conf("<If \"%{HTTP:X-Squeeze} == 'yes'\">\nSetOutputFilter DEFLATE\n</If>")
        .start();
    let tag = server.get("/a.bin").header("etag").expect("an ETag").to_owned();
    let modified = server.get("/a.bin").header("last-modified").expect("a time").to_owned();
    let old = "Sat, 01 Jan 2000 00:00:00 GMT";
    let asked: [&[(&str, &str)]; 13] = [
        &[],
        &[("If-None-Match", &tag)],
        &[("If-None-Match", "\"other\"")],
        &[("If-Modified-Since", &modified)],
        &[("If-Modified-Since", old)],
        &[("If-Match", "\"other\"")],
        &[("If-Unmodified-Since", old)],
        &[("Range", "bytes=0-9")],
        &[("Range", "bytes=0-9"), ("If-Range", &tag)],
        &[("Range", "bytes=0-9"), ("If-Range", "\"other\"")],
        &[("Range", "bytes=5000-")],
        &[("X-Squeeze", "yes"), ("Accept-Encoding", "gzip")],
        &[("X-Squeeze", "yes"), ("Accept-Encoding", "gzip"), ("If-None-Match", &tag)],
    ];
    let ask = |method: &str, path: &str, headers: &[(&str, &str)]| {
        let request = server.request(method, path);
        headers.iter().fold(request, |request, (name, value)| request.header(name, value)).send()
    };
    let mut statuses = Vec::new();
    for headers in asked {
        for method in ["GET", "HEAD"] {
            let own = ask(method, "/a.bin", headers);
            statuses.push(own.status);
            for mode in MODES {
                let response = ask(method, &format!("{mode}/file?path=a.bin"), headers);
                assert_eq!(response.status, own.status, "{mode} {method} {headers:?}");
                let lengthless = |head: Vec<(String, String)>| -> Vec<_> {
                    head.into_iter().filter(|(name, _)| name != "content-length").collect()
                };
                let (ours, httpds) = (head(&response), head(&own));
                // A HEAD may leave a length out that depends on a filter, and that of nothing.
                if method == "HEAD" {
                    assert_eq!(lengthless(ours), lengthless(httpds), "{mode} {method} {headers:?}");
                } else {
                    assert_eq!(ours, httpds, "{mode} {method} {headers:?}");
                }
                assert_eq!(
                    response.header("expires").is_some(),
                    own.header("expires").is_some(),
                    "{mode} {method} {headers:?}"
                );
                assert_eq!(response.body, own.body, "{mode} {method} {headers:?}");
            }
        }
    }
    for status in [200, 206, 304, 412, 416] {
        assert!(statuses.contains(&status), "no {status} among {statuses:?}");
    }
}

#[test]
fn h17_a_cached_file_is_complete_when_requested_again() {
    let server = modes()
        .load("cache")
        .load("cache_disk")
        .conf("CacheEnable disk /\nCacheRoot {root}/cache\nCacheHeader On")
        .load("headers")
        .conf("CacheIgnoreQueryString Off\nHeader set Cache-Control max-age=100")
        .file("cache/.keep", "")
        .file("htdocs/a.bin", "0123456789".repeat(100))
        .start();
    let folder = server.root().join("cache");
    fs::set_permissions(folder, Permissions::from_mode(0o777)).unwrap();
    for mode in MODES {
        let path = format!("{mode}/file?path=a.bin");
        for round in 0..4 {
            // It makes the cache ask whether its copy is still good.
            let response = server.request("GET", &path).header("Cache-Control", "max-age=0").send();
            let found = (response.status, response.body.len());
            assert_eq!(found, (200, 1000), "{mode}, round {round}: {response:?}");
        }
        let cached = server.get(&path);
        let is_hit = cached.header("x-cache").is_some_and(|cache| cache.starts_with("HIT"));
        assert!(is_hit && cached.body.len() == 1000, "{mode}: nothing is stored: {cached:?}");
    }
}

#[test]
fn h17_a_file_that_shrinks_under_way_ends_its_response_alone() {
    // Bytes that DEFLATE can do little with, more than the sockets take.
    let mut state = 1_u64;
    let bytes: Vec<u8> = (0..4 << 20)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        })
        .collect();
    let server = modes()
        .load("filter")
        .load("deflate")
        .children(1)
        .conf("SendBufferSize 16384\nKeepAliveTimeout 1")
        .conf("<If \"%{HTTP:X-Squeeze} == 'yes'\">\nSetOutputFilter DEFLATE\n</If>")
        .allow_log("has become shorter")
        .allow_log("RUST0011")
        .start();
    let child = || server.get("/quirks/pid").text().to_owned();
    let pid = child();
    for mode in MODES {
        for squeeze in ["yes", "no"] {
            let what = format!("{mode}, squeezed: {squeeze}");
            server.write_file("htdocs/large.bin", &bytes);
            let mut connection = server.connect();
            connection.write(format!(
                "GET {mode}/file?path=large.bin HTTP/1.1\r\nHost: x\r\nX-Squeeze: {squeeze}\r\n\
                 Accept-Encoding: gzip\r\n\r\n"
            ));
            connection.read_exact(10_000);
            shorten(&server);
            let rest = connection.read_to_end();
            let is_whole = rest.ends_with(b"\r\n0\r\n\r\n") || rest.len() > bytes.len() - 10_000;
            assert!(!is_whole, "{what}: {} bytes", rest.len());
            assert_eq!(child(), pid, "{what}: the child died");
        }
    }
}

fn shorten(server: &Server) {
    let file = OpenOptions::new().write(true).open(server.root().join("htdocs/large.bin"));
    file.and_then(|file| file.set_len(0)).expect("a shorter file");
}

#[test]
fn h17_a_file_that_the_groups_user_alone_may_read() {
    use std::os::unix::fs::MetadataExt as _;
    if fs::metadata("/proc/self").is_ok_and(|own| own.uid() != 0) {
        return;
    }
    let server = quirks()
        .conf("RustDaemonProcess own processes=1 user=daemon")
        .conf("RustAppAlias /own quirks process-group=own")
        .file("own/secret.bin", "0123456789".repeat(30_000))
        .file("own/small.bin", "0123456789".repeat(10))
        .start();
    let daemon = fs::read_to_string("/etc/passwd").expect("/etc/passwd");
    let line = daemon.lines().find(|line| line.starts_with("daemon:")).expect("the user daemon");
    let id = |at: usize| line.split(':').nth(at).and_then(|id| id.parse().ok());
    for (name, length) in [("small.bin", 100), ("secret.bin", 300_000)] {
        let path = server.root().join("own").join(name);
        chown(&path, id(2), id(3)).expect("another owner");
        fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("its mode");
        let target = format!("/own/file?path={}", path.display());
        let response = server.get(&target);
        assert_eq!((response.status, response.body.len()), (200, length), "{response:?}");
        assert!(response.body.iter().enumerate().all(|(at, &b)| b == b'0' + (at % 10) as u8));
        assert_eq!(response.header("content-length"), Some(&*length.to_string()));
        let tag = response.header("etag").expect("an ETag").to_owned();
        let again = server.request("GET", &target).header("If-None-Match", tag).send();
        assert_eq!(again.status, 304, "{again:?}");
        let head = server.request("HEAD", &target).send();
        assert_eq!((head.status, head.body.len()), (200, 0), "{head:?}");
    }
    let small = server.root().join("own/small.bin");
    let part = server
        .request("GET", &format!("/own/file?path={}", small.display()))
        .header("Range", "bytes=3-5")
        .send();
    assert_eq!((part.status, part.text()), (206, "345"), "{part:?}");
}

#[test]
fn h17_a_part_of_a_body_in_one_piece() {
    let server = modes().start();
    let sizes = ["/quirks", "/grouped-quirks"].map(|mode| [(mode, 1000), (mode, 100_000)]);
    for (mode, size) in sizes.into_iter().flatten() {
        let ask = |range: &str| {
            let target = format!("{mode}/digits?n={size}");
            server.request("GET", &target).header("Range", range).send()
        };
        let part = ask(&format!("bytes={}-{}", size - 7, size - 5));
        assert_eq!((part.status, part.text()), (206, "345"), "{mode} {size}: {part:?}");
        let range = format!("bytes {}-{}/{size}", size - 7, size - 5);
        assert_eq!(part.header("content-range"), Some(&*range), "{mode}");
        assert_eq!(ask(&format!("bytes={size}-")).status, 416, "{mode} {size}");
        assert_eq!(ask("lines=1-2").body.len(), size, "{mode}");
    }
}
