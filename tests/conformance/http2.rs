//! The cases over HTTP/2, as far as curl can ask what they ask: those of one request, without what
//! is HTTP/1's own.

use std::fmt::Write as _;

use httpd_testkit::{Builder, Mpm, Server, is_wanted};

use crate::case::{Ask, Case, Content, End, Expect, Field, Need, Step, pattern};
use crate::check::{Headers, Result, check_body, check_head, same};
use crate::embedded::Embedded;
use crate::{cases, daemon, driver};

/// curl's exit codes for an incomplete response: a reset stream, or a truncated transfer.
const BROKEN: [i32; 2] = [92, 18];

fn run(mpm: Mpm, builder: Builder) {
    if !is_wanted(mpm) {
        return;
    }
    let target = Embedded::start(builder.mpm(mpm).http2(true).tls(true));
    let all = cases::all();
    let fit: Vec<_> = all.iter().filter_map(|case| Some((case, fits(case)?))).collect();
    assert!(fit.len() > 150, "only {} cases fit", fit.len());
    let mut failures = String::new();
    for (case, (ask, expect)) in &fit {
        if let Err(what) = exchange(&target.server, ask, expect) {
            let (method, path) = (ask.method, &ask.target);
            let _ = writeln!(failures, "--- {}\n{method} {path}: {what}", case.name);
        }
    }
    for size in [0, 1, 70_000, 3_000_000] {
        if let Err(what) = unread(&target.server, size) {
            let _ = writeln!(failures, "--- an unread body of {size} bytes\n{what}");
        }
    }
    let run: Vec<_> = fit.iter().map(|(case, _)| *case).collect();
    driver::check_log(&target, &run, &mut failures);
    assert!(failures.is_empty(), "of {} cases, these failed:\n{failures}", fit.len());
}

/// Returns request and response of a case that curl can send.
fn fits(case: &Case) -> Option<(&Ask, Expect)> {
    let [Step::Ask(ask, expect)] = case.steps.as_slice() else { return None };
    let own =
        |name: &str| ["connection", "expect", "trailer"].contains(&&*name.to_ascii_lowercase());
    let is_http_1 = ask.is_http_1_0
        || !ask.target.starts_with('/')
        || ask.headers.iter().any(|(name, _)| own(name))
        // httpd's own limits and TRACE are others here.
        || case.needs.contains(&Need::Httpd);
    // curl (7.88) loses, now and then, an answer that comes before it has sent its body, that of a
    // plain file too.
    let reads = ["/echo", "/discard", "/duplex"].iter().any(|path| ask.target.starts_with(path));
    if is_http_1 || !(reads || matches!(ask.content, Content::None)) {
        return None;
    }
    let mut expect = expect.clone();
    expect.fields.retain(|field| match field {
        Field::Are(name, _) | Field::Holds(name, _) => !own(name),
        Field::Absent(_) | Field::Order(..) => true,
    });
    Some((ask, expect))
}

fn exchange(server: &Server, ask: &Ask, expect: &Expect) -> Result {
    let root = server.root();
    let heads = root.join("heads").display().to_string();
    let mut args: Vec<String> =
        ["--http2", "--path-as-is", "--dump-header", &heads].map(String::from).to_vec();
    args.extend(match ask.method {
        "HEAD" => vec!["--head".into(), "--output".into(), "/dev/null".into()],
        method => vec!["--request".into(), method.into()],
    });
    for (name, value) in &ask.headers {
        args.extend(["--header".into(), format!("{name}: {value}")]);
    }
    let (bytes, is_sized) = match &ask.content {
        Content::None => (None, true),
        Content::Bytes(bytes) => (Some(bytes.to_vec()), true),
        Content::Pattern(length) => (Some(pattern(*length)), true),
        Content::Chunks(chunks) => (Some(chunks.concat()), false),
        Content::PatternChunks(length, _) => (Some(pattern(*length)), false),
    };
    if let Some(bytes) = bytes {
        server.write_file("upload", bytes);
        let upload = root.join("upload").display().to_string();
        if !ask.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
            args.extend(["--header".into(), "Content-Type:".into()]);
        }
        args.extend(["--header".into(), "Expect:".into()]);
        if is_sized {
            args.extend(["--data-binary".into(), format!("@{upload}")]);
        } else {
            // Of unknown length: HTTP/2 has no chunks.
            args.extend(["--header".into(), "Transfer-Encoding: chunked".into()]);
            args.extend(["--upload-file".into(), upload]);
        }
    }
    args.push(server.tls_url(&format!("/probe{}", ask.target.replace("{probe}", "/probe"))));
    let output = server.curl(&args);

    let head = std::fs::read_to_string(root.join("heads")).map_err(|error| error.to_string())?;
    let said = || format!("{head}\n{output:?}");
    let is_broken = output.exit.is_some_and(|exit| BROKEN.contains(&exit));
    let fits = if expect.end == End::Broken { is_broken } else { output.exit == Some(0) };
    if !fits {
        return Err(format!("the end is not {:?}\n{}", expect.end, said()));
    }
    if expect.end == End::Broken && head.is_empty() {
        // The stream may be reset before its head is sent.
        return Ok(());
    }
    let (status, headers) = parse(&head)?;
    check_head(status, &headers, expect).map_err(|what| format!("{what}\n{}", said()))?;
    if ask.method == "HEAD" {
        return Ok(());
    }
    check_body(&output.stdout, expect).map_err(|what| format!("{what}\n{}", said()))
}

/// Sends a request whose body is not read, by nghttp, and returns the response.
fn unread(server: &Server, size: usize) -> Result {
    server.write_file("upload", pattern(size));
    let upload = server.root().join("upload").display().to_string();
    let output = server.run("nghttp", &["--data", &upload, &server.tls_url("/probe/unread")]);
    same("the answer", output.text(), "the request body was not read\n")
}

/// Status and headers of the last head, as curl writes them.
fn parse(heads: &str) -> Result<(u16, Headers)> {
    let head = heads.trim_end().rsplit("\r\n\r\n").next().unwrap_or_default();
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.strip_prefix("HTTP/2 "));
    let status = status.and_then(|rest| rest.trim().parse().ok());
    let status = status.ok_or_else(|| format!("no HTTP/2 response: {heads}"))?;
    let headers = lines.filter_map(|line| line.split_once(": "));
    Ok((status, headers.map(|(name, value)| (name.into(), value.into())).collect()))
}

#[test]
fn over_http_2_event() {
    run(Mpm::Event, Embedded::builder());
}

#[test]
fn over_http_2_worker() {
    run(Mpm::Worker, Embedded::builder());
}

#[test]
fn daemon_over_http_2_event() {
    run(Mpm::Event, daemon::builder());
}

#[test]
fn daemon_over_http_2_worker() {
    run(Mpm::Worker, daemon::builder());
}
