//! Request targets on their way to a service: its URI says what SCRIPT_NAME and PATH_INFO say.
#![no_main]

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use libfuzzer_sys::fuzz_target;
use mod_rust::gateway::memory;
use mod_rust::gateway::service::{RequestBody, service};
use tower_service::Service;

#[derive(Clone)]
struct Path;

impl Service<http::Request<RequestBody>> for Path {
    type Response = http::Response<String>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<RequestBody>) -> Self::Future {
        ready(Ok(http::Response::new(request.uri().path().to_owned())))
    }
}

fuzz_target!(|given: (Vec<u8>, Vec<u8>, Vec<u8>, bool)| {
    let (mount, rest, path_info, is_rewritten) = given;
    let mut script_name = vec![b'/'];
    script_name.extend(mount.into_iter().filter(|byte| !b"/?#%".contains(byte)));
    let mut target = script_name.clone();
    target.push(b'/');
    target.extend_from_slice(&rest);
    let path = target.split(|&byte| byte == b'?').next().unwrap_or_default();
    let mut expected = b"/".to_vec();
    if is_rewritten {
        expected.extend_from_slice(&path_info);
    } else {
        let below = path.get(script_name.len() + 1..).unwrap_or_default();
        expected.extend(percent_encoding::percent_decode(below));
    }
    let request = memory::TestRequest::new("GET", &target).mount(&script_name).path_info(&expected);
    let response = request.call(&service(Path));
    if response.is_complete() {
        let text = response.text().into_owned();
        assert!(text.starts_with('/'), "{text:?}");
        let decoded: Vec<u8> = percent_encoding::percent_decode_str(&text).collect();
        assert_eq!(decoded, expected, "{text:?}");
    }
});
