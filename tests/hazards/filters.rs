//! Hazard 8, behind every content filter that Debian ships: a response that breaks off never looks
//! complete. Filters hold data back, join or lose them.

use httpd_testkit::{Builder, Mpm, Server};

use crate::support::quirks;

/// Content filters: the modules that each needs, and the directives that enable it.
const FILTERS: &[(&str, &[&str], &str)] = &[
    ("buffer", &["buffer"], "SetOutputFilter BUFFER"),
    ("deflate", &["filter", "deflate"], "SetOutputFilter DEFLATE"),
    ("brotli", &["filter", "brotli"], "SetOutputFilter BROTLI_COMPRESS"),
    ("substitute", &["substitute"], "SetOutputFilter SUBSTITUTE\nSubstitute s/xxx/yy/"),
    ("sed", &["sed"], "SetOutputFilter Sed\nOutputSed s/xxx/yy/"),
    ("ext-filter", &["ext_filter"], "SetOutputFilter copy"),
    ("includes", &["include"], "SetOutputFilter INCLUDES\nOptions +Includes"),
    ("rate-limit", &["env", "ratelimit"], "SetOutputFilter RATE_LIMIT\nSetEnv rate-limit 100000"),
    ("xml2enc", &["xml2enc"], "SetOutputFilter xml2enc\nxml2EncDefault utf-8"),
    ("proxy-html", &["proxy", "xml2enc", "proxy_html"], "SetOutputFilter proxy-html"),
    ("charset", &["charset_lite"], "CharsetSourceEnc utf-8\nCharsetDefault iso-8859-1"),
    ("bucketeer", &["bucketeer"], "SetOutputFilter BUCKETEER"),
    ("data", &["data"], "SetOutputFilter DATA"),
    ("security", &["unique_id", "security2"], "SecRuleEngine On\nSecResponseBodyAccess On"),
    // One after the other: what the first lets through, the second may lose.
    (
        "security-deflate",
        &["unique_id", "security2", "filter", "deflate"],
        "SecRuleEngine On\nSecResponseBodyAccess On\nSetOutputFilter DEFLATE",
    ),
];

/// Directives that are the server's own.
const SERVER: &str = "ExtFilterDefine copy mode=output cmd=/bin/cat\n\
                      SecResponseBodyMimeType text/html\n\
                      SecTmpDir {root}\nSecDataDir {root}\n\
                      SecResponseBodyLimit 1000000\nSubstituteMaxLineLength 2M\n\
                      RustDaemonProcess grouped processes=1";

const MODES: [(&str, &str); 2] = [("embedded", ""), ("daemon", " process-group=grouped")];

/// Responses that break off: short and long, of unknown length and of a length that is known.
const LATE: [&str; 4] =
    ["late?n=1", "late?n=30000", "late?n=1&length=12", "late?n=30000&length=330001"];

fn filtered() -> Builder {
    let mut builder = quirks().allow_log("a late error").allow_log("RUST0005").conf(SERVER);
    let mut loaded = Vec::new();
    for (name, modules, directives) in FILTERS {
        for module in *modules {
            if !loaded.contains(module) {
                loaded.push(module);
                builder = builder.load(module);
            }
        }
        for (mode, options) in MODES {
            let path = format!("/{mode}/{name}");
            builder = builder.conf(&format!(
                "RustAppAlias {path} quirks{options}\n<Location {path}>\n{directives}\n</Location>"
            ));
        }
    }
    builder
}

/// Returns every path of [`LATE`] behind every filter, in both modes.
fn paths() -> Vec<String> {
    let mut paths = Vec::new();
    for (name, ..) in FILTERS {
        for (mode, _) in MODES {
            paths.extend(LATE.iter().map(|late| format!("/{mode}/{name}/{late}")));
        }
    }
    paths
}

/// Returns what looks whole though it is not, over HTTP/1.0 or 1.1.
fn whole_http_1(server: &Server, path: &str, version: &str) -> Option<String> {
    let mut connection = server.connect();
    connection.write(format!(
        "GET {path} HTTP/{version}\r\nHost: x\r\nAccept-Encoding: gzip, br\r\n\r\n"
    ));
    match connection.try_read_response("GET") {
        Ok(response) if response.status == 200 && !response.end.is_truncated() => Some(format!(
            "HTTP/{version} {path}: {:?}, {} bytes",
            response.end,
            response.body.len()
        )),
        _ => None,
    }
}

#[test]
fn h08_no_content_filter_makes_a_broken_response_look_whole() {
    let server = filtered().start();
    let mut failures = Vec::new();
    for (name, ..) in FILTERS {
        for (mode, _) in MODES {
            // Else the filter's being there would prove nothing.
            let response = server
                .request("GET", &format!("/{mode}/{name}/late?n=1000&end"))
                .header("Accept-Encoding", "gzip, br")
                .send();
            if response.status != 200 || !response.end.is_complete() || response.body.is_empty() {
                failures.push(format!("{mode}/{name}: not whole: {response:?}"));
            }
        }
    }
    for path in paths() {
        failures.extend(whole_http_1(&server, &path, "1.1"));
        failures.extend(whole_http_1(&server, &path, "1.0"));
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Filters of a page that includes an application: what the application breaks off, the page is not to
/// end well.
#[test]
fn h08_a_page_does_not_look_whole_when_what_it_includes_breaks_off() {
    let filters = [
        ("plain", "SetOutputFilter INCLUDES"),
        ("sed", "SetOutputFilter INCLUDES;Sed\nOutputSed s/xxx/yy/"),
        ("security", "SetOutputFilter INCLUDES\nSecRuleEngine On\nSecResponseBodyAccess On"),
        ("buffer", "SetOutputFilter INCLUDES;BUFFER"),
    ];
    let mut builder = filtered().mpm(Mpm::Event).http2(true);
    for (mode, options) in MODES {
        builder = builder.conf(&format!("RustAppAlias /{mode}/plain quirks{options}"));
    }
    let mut paths = Vec::new();
    for (name, directives) in filters {
        builder = builder.conf(&format!(
            "<Directory {{htdocs}}/{name}>\nOptions +Includes\n{directives}\n</Directory>"
        ));
        for (mode, _) in MODES {
            for late in LATE {
                let file = format!("{name}/{mode}-{}.html", late.replace(['?', '&', '='], "-"));
                let page = format!("before <!--#include virtual=\"/{mode}/plain/{late}\" -->");
                builder = builder.file(&format!("htdocs/{file}"), format!("{page} after\n"));
                paths.push(format!("/{file}"));
            }
        }
    }
    let server = builder.start();
    let mut failures = Vec::new();
    for path in paths {
        failures.extend(whole_http_1(&server, &path, "1.1"));
        failures.extend(whole_http_1(&server, &path, "1.0"));
        let output = server.curl(&["--http2-prior-knowledge", &server.url(&path)]);
        if output.exit == Some(0) && output.status == Some(200) {
            failures.push(format!("HTTP/2 {path}: {} bytes", output.stdout.len()));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    server.wait_log("breaking the response off");
}

#[test]
fn h08_a_filter_that_denies_a_response_has_answered() {
    let server = filtered()
        .conf("SecRule RESPONSE_BODY \"@contains zebra\" \"id:1,phase:4,deny,status:403\"")
        .conf("ErrorDocument 403 \"denied\"")
        .allow_log("Access denied with code 403")
        .start();
    let head = "status=200&h-Content-Type=text/html";
    for (mode, _) in MODES {
        for filter in ["security", "security-deflate"] {
            for (query, text) in [("body=zebra", "denied"), ("body=zebra&stream", "denied")] {
                let response = server.get(&format!("/{mode}/{filter}/respond?{head}&{query}"));
                let found = (response.status, response.text());
                assert_eq!(found, (403, text), "{mode} {filter} {query}: {response:?}");
                assert!(!response.end.is_truncated(), "{mode} {filter} {query}: {response:?}");
            }
            let fine = server.get(&format!("/{mode}/{filter}/respond?{head}&body=horse"));
            assert_eq!((fine.status, fine.text()), (200, "horse"), "{mode} {filter}: {fine:?}");
        }
    }
    let log = server.error_log();
    assert!(!log.contains("RUST0011"), "{log}");
}

#[test]
fn h08_no_content_filter_makes_a_broken_response_look_whole_over_http_2() {
    let server = filtered().mpm(Mpm::Event).http2(true).start();
    let mut failures = Vec::new();
    for path in paths() {
        let encodings = "Accept-Encoding: gzip, br";
        let output =
            server.curl(&["--http2-prior-knowledge", "--header", encodings, &server.url(&path)]);
        if output.exit == Some(0) && output.status == Some(200) {
            failures.push(format!("{path}: {} bytes", output.stdout.len()));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
