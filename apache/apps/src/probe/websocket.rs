//! `/ws`: a WebSocket (RFC 6455) that echoes each message.

use futures_util::{SinkExt as _, StreamExt as _};
use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use http::{HeaderValue, Method, Request, StatusCode};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use mod_rust::gateway::Error;
use mod_rust::gateway::service::RequestBody;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::answer::Refusal;
use super::service::{Answer, text};

/// `/ws`: echoes each text and binary message until the client closes the WebSocket. Over HTTP/2 it
/// is asked for by CONNECT, has no key, and is granted by status 200 (RFC 8441).
pub(super) async fn echo(mut request: Request<RequestBody>) -> Answer {
    let connects = request.method() == Method::CONNECT;
    let asks =
        request.method() == Method::GET && request.headers().get(UPGRADE).is_some_and(is_websocket);
    let key = request.headers().get(SEC_WEBSOCKET_KEY).cloned();
    let is_asked = connects || (asks && key.is_some());
    if !is_asked {
        let mut refusal =
            text("this is a WebSocket (RFC 6455): the request has to ask for it\n".into());
        *refusal.status_mut() = StatusCode::UPGRADE_REQUIRED;
        return Ok(refusal);
    }
    let Some(on_upgrade) = request.extensions_mut().remove::<OnUpgrade>() else {
        return Err(Refusal::Answer(501, "this server cannot upgrade the connection".into()));
    };
    tokio::spawn(async move {
        let Ok(upgraded) = on_upgrade.await else { return };
        let connection = TokioIo::new(upgraded);
        let mut socket = WebSocketStream::from_raw_socket(connection, Role::Server, None).await;
        while let Some(Ok(message)) = socket.next().await {
            let is_data = message.is_text() || message.is_binary();
            if is_data && socket.send(message).await.is_err() {
                return;
            }
        }
    });
    let mut switch = text(String::new());
    switch.headers_mut().clear();
    let Some(key) = key.filter(|_| !connects) else { return Ok(switch) };
    let accept = HeaderValue::from_str(&derive_accept_key(key.as_bytes()));
    *switch.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = switch.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept.map_err(Error::from_source)?);
    Ok(switch)
}

fn is_websocket(value: &HeaderValue) -> bool {
    value.as_bytes().eq_ignore_ascii_case(b"websocket")
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use mod_rust::gateway::memory::TestRequest;

    use super::super::{Options, Probe, get};

    /// The handshake of RFC 6455, section 1.3.
    fn handshake() -> TestRequest {
        let request = TestRequest::get("/ws").length(Some(0));
        request
            .header("Connection", "keep-alive, Upgrade")
            .header("Upgrade", "websocket")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
    }

    /// The masked "Hello" of RFC 6455, section 5.7.
    const HELLO: &[u8] = &[0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];

    const CLOSE: &[u8] = &[0x88, 0x80, 0, 0, 0, 0];

    #[test]
    fn messages_come_back() {
        let request = handshake().chunk(HELLO).after_output(7).chunk(HELLO).chunk(CLOSE);
        let response = request.call(&Probe::new(Options::default()));
        assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
        let accept = response.header("sec-websocket-accept");
        assert_eq!(accept, Some(&b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="[..]));
        assert_eq!(&**response.body(), b"\x81\x05Hello\x81\x05Hello\x88\x00");
        assert!(response.is_complete(), "{response:?}");
    }

    #[test]
    fn others_are_told_what_it_is() {
        assert_eq!(get("/ws").status(), StatusCode::UPGRADE_REQUIRED);
        let probe = Probe::new(Options::default());
        let no_upgrade = handshake().must_block().call(&probe);
        assert_eq!(no_upgrade.status(), StatusCode::NOT_IMPLEMENTED);
    }
}
