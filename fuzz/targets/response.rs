//! Applications that do whatever they like: what leaves the gateway keeps the rules all the same.
#![no_main]

use arbitrary::Arbitrary;
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use mod_rust::gateway::memory::TestRequest;
use mod_rust::gateway::{Body, Error, app_fn};
use mod_rust::internal::gateway::header;

#[derive(Arbitrary, Clone, Debug)]
struct Plan {
    method: u8,
    starts: Vec<Start>,
    body: Answer,
    fails: bool,
}

#[derive(Arbitrary, Clone, Debug)]
struct Start {
    status: u16,
    reason: Option<String>,
    headers: Vec<(Vec<u8>, Vec<u8>)>,
    length: Option<u16>,
    replaces: bool,
    writes: Vec<Vec<u8>>,
}

#[derive(Arbitrary, Clone, Debug)]
enum Answer {
    Full(Vec<u8>),
    Chunks(Vec<Result<Vec<u8>, ()>>),
    Ready(Vec<Vec<u8>>, Option<u16>),
    Redirect(String),
    Panics(Vec<u8>),
}

fuzz_target!(|plan: Plan| {
    let method = ["GET", "HEAD", "POST"][usize::from(plan.method % 3)];
    let given = plan.clone();
    let application = app_fn(move |_environ, start_response| {
        for start in &plan.starts {
            let line = start.reason.as_ref().map(|reason| format!("{} {reason}", start.status));
            let length = start.length.map(|length| length.to_string());
            let headers = start.headers.iter().map(|(name, value)| (&name[..], &value[..]));
            let headers = headers
                .chain(length.iter().map(|length| (&b"Content-Length"[..], length.as_bytes())));
            let mut writer = match (&line, start.replaces) {
                (Some(line), false) => start_response.start(line.as_str(), headers)?,
                (None, false) => start_response.start(start.status, headers)?,
                (_, true) => start_response.replace(start.status, headers, Error::new("again"))?,
            };
            for data in &start.writes {
                writer.put(data.clone())?;
            }
        }
        if plan.fails {
            return Err(Error::new("as planned"));
        }
        let failed = || Error::new("in the body");
        Ok(match plan.body.clone() {
            Answer::Full(data) => Body::from(data),
            Answer::Chunks(chunks) => Body::from_chunks(
                chunks.into_iter().map(move |chunk| chunk.map(Bytes::from).map_err(|()| failed())),
            ),
            Answer::Ready(chunks, length) => {
                Body::from_ready(chunks.into_iter().map(|chunk| Ok(Bytes::from(chunk))))
                    .with_length(length.map(u64::from))
            }
            Answer::Redirect(target) => Body::internal_redirect(target),
            Answer::Panics(first) => {
                let mut first = Some(first);
                Body::from_chunks(std::iter::from_fn(move || match first.take() {
                    Some(first) => Some(Ok(Bytes::from(first))),
                    None => std::panic::panic_any("as planned"),
                }))
            }
        })
    });
    // libFuzzer ends the process in its panic hook: planned panics are caught further in.
    static HOOK: std::sync::Once = std::sync::Once::new();
    HOOK.call_once(|| {
        std::panic::set_hook(Box::new(|info| {
            if info.payload().downcast_ref::<&str>() != Some(&"as planned") {
                eprintln!("{info}");
            }
        }));
    });
    let response = TestRequest::new(method, "/").call(&application);
    let mut lengths = Vec::new();
    for (name, value) in response.headers() {
        header::check(name, value).expect("only checked headers leave");
        if name.eq_ignore_ascii_case(b"content-length") {
            lengths.push(header::content_length(value).expect("a number"));
        }
    }
    assert!(lengths.len() < 2, "{given:?}");
    if method == "HEAD" || matches!(response.status().as_u16(), 204 | 304) {
        assert!(response.body().is_empty(), "{given:?}");
    } else if response.is_complete() {
        for length in lengths {
            assert_eq!(response.body().len() as u64, length, "{given:?}");
        }
    }
    if response.is_complete() {
        assert!((200..600).contains(&response.status().as_u16()), "{given:?}");
    }
});
