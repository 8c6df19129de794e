//! Upgraded connections.

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{Answer, app};
use crate::gateway::memory::TestRequest;
use crate::gateway::service::RequestBody;
use crate::gateway::{Application, Body, Environ, ErrorKind, Result, StartResponse};

/// Switches to a protocol in which each byte is answered by itself in upper case. A `.` ends it.
async fn shout(mut request: Request<RequestBody>) -> Answer<Full<Bytes>> {
    let Some(on_upgrade) = request.extensions_mut().remove::<OnUpgrade>() else {
        let mut response = Response::new(Full::from("no upgrade"));
        *response.status_mut() = StatusCode::UPGRADE_REQUIRED;
        return Ok(response);
    };
    tokio::spawn(async move {
        let mut connection = TokioIo::new(on_upgrade.await.expect("an upgrade"));
        while let Ok(byte) = connection.read_u8().await {
            if byte == b'.' || connection.write_u8(byte.to_ascii_uppercase()).await.is_err() {
                break;
            }
        }
    });
    let switch = Response::builder().status(101);
    let switch = switch.header("Connection", "upgrade").header("Upgrade", "shout");
    Ok(switch.header("Content-Length", "0").header("X-Own", "yes").body(Full::default())?)
}

fn asking() -> TestRequest {
    let request = TestRequest::get("/").length(Some(0));
    request.header("Connection", "keep-alive, Upgrade").header("Upgrade", "shout")
}

#[test]
fn bytes_go_both_ways_until_the_application_ends() {
    let request = asking().chunk("a").after_output(1).chunk("bc").after_output(3).chunk("d.lost");
    let response = request.call(&app(shout));
    assert!(response.is_complete(), "{response:?}");
    assert_eq!((response.status(), &*response.text()), (StatusCode::SWITCHING_PROTOCOLS, "ABCD"));
    assert_eq!(response.header("upgrade"), Some(&b"shout"[..]));
    assert_eq!(response.header("connection"), Some(&b"upgrade"[..]));
    assert_eq!(response.header("x-own"), Some(&b"yes"[..]));
    assert_eq!(response.header("content-length"), None);
}

#[test]
fn the_clients_end_is_told() {
    let large = "a".repeat(100_000);
    let response = asking().chunk(large.clone()).call(&app(shout));
    assert!(response.is_complete(), "{response:?}");
    assert_eq!(response.text(), large.to_uppercase());
    let silent = asking().call(&app(shout));
    assert!(silent.is_complete() && silent.body().is_empty(), "{silent:?}");
}

#[test]
fn requests_that_ask_for_no_upgrade_have_none() {
    let app = app(shout);
    for request in [
        TestRequest::get("/"),
        TestRequest::get("/").header("Upgrade", "shout"),
        TestRequest::get("/").header("Connection", "upgrade"),
        asking().must_block(),
        asking().variable("SERVER_PROTOCOL", "HTTP/1.0"),
    ] {
        assert_eq!(request.call(&app).status(), StatusCode::UPGRADE_REQUIRED);
    }
}

#[test]
fn a_refused_upgrade_is_an_ordinary_response() {
    let app = app(async |_request| Ok(Response::new(Full::<Bytes>::from("no"))));
    let response = asking().call(&app);
    assert_eq!((response.status(), &*response.text()), (StatusCode::OK, "no"));
}

#[test]
fn a_switch_that_nobody_asked_for_is_an_error() {
    let app =
        app(async |_request| Ok(Response::builder().status(101).body(Full::<Bytes>::default())?));
    let response = TestRequest::get("/").call(&app);
    assert_eq!(response.error().expect("an error").kind(), ErrorKind::InvalidStatus);
}

#[test]
fn a_client_that_leaves_ends_it() {
    let response = asking().chunk("a").pause().leaves_at_wait().call(&app(shout));
    assert_eq!(response.error().expect("an error").kind(), ErrorKind::ClientGone);
}

/// Chooses the service below its first path segment.
struct Mounted<A>(A);

impl<A: Application> Application for Mounted<A> {
    fn call<'x>(&self, _: Environ<'x>, start_response: StartResponse<'x>) -> Result<Body<'x>> {
        start_response.start(StatusCode::NOT_FOUND, [("X-Path", "none")])?;
        Ok(Body::empty())
    }

    fn delegate(&self, environ: &mut Environ<'_>) -> Option<&dyn Application> {
        (environ.shift_path_info()? == b"shout").then_some(&self.0)
    }
}

#[test]
fn a_service_that_was_chosen_is_a_task_too() {
    let app = Mounted(Mounted(app(shout)));
    let request = |path| {
        let request = TestRequest::get(path).length(Some(0)).header("Connection", "upgrade");
        request.header("Upgrade", "shout").chunk("a.").call(&app)
    };
    assert_eq!(request("/shout/shout/").text(), "A");
    assert_eq!(request("/shout/other").status(), StatusCode::NOT_FOUND);
}
