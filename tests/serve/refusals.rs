//! Requests that are refused, with every protocol alike.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use mod_rust::internal::protocol::fastcgi::{
    RecordKind, Role, put_begin, put_params, put_stream_end,
};
use mod_rust::internal::protocol::params::Params;
use mod_rust::internal::protocol::{scgi, uwsgi};

use crate::program::{PATIENCE, Program};

/// Returns a request with a CONTENT_LENGTH of three bytes.
pub(crate) fn request(protocol: &str, length: &str) -> Vec<u8> {
    let mut params = Params::new();
    for (key, value) in [
        ("CONTENT_LENGTH", "125"),
        ("REQUEST_METHOD", "POST"),
        ("REQUEST_URI", "/echo"),
        ("PATH_INFO", "/echo"),
        ("SERVER_PROTOCOL", "HTTP/1.1"),
    ] {
        params.push(key.as_bytes(), value.as_bytes());
    }
    let mut bytes = Vec::new();
    match protocol {
        "fastcgi" => {
            put_begin(&mut bytes, 1, Role::RESPONDER, false);
            put_params(&mut bytes, 1, &params).unwrap();
            put_stream_end(&mut bytes, RecordKind::STDIN, 1);
        }
        "scgi" => scgi::encode(&params, &mut bytes).unwrap(),
        "uwsgi" => uwsgi::encode(&params, &mut bytes).unwrap(),
        _ => bytes = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 125\r\n\r\n".to_vec(),
    }
    // The encoders refuse such a length.
    let at = bytes.windows(3).position(|three| three == b"125").unwrap();
    bytes[at..at + 3].copy_from_slice(length.as_bytes());
    bytes
}

/// FastCGI, CGI and HTTP answer 400. SCGI and uwsgi have no answer for a head that is not
/// understood: the connection is closed.
#[test]
fn a_content_length_that_is_not_a_number() {
    let protocols = ["fastcgi", "scgi", "uwsgi", "http"];
    let names = protocols.map(|protocol| format!("--{protocol}"));
    let arguments: Vec<_> = names.iter().flat_map(|name| [name, "127.0.0.1:0"]).collect();
    let mut program = Program::start(&arguments);
    for protocol in protocols {
        for length in ["+25", "abc", "1 2", "0x1", "1.0"] {
            let mut client = TcpStream::connect(program.address(protocol)).unwrap();
            client.set_read_timeout(Some(PATIENCE)).unwrap();
            client.write_all(&request(protocol, length)).unwrap();
            let mut answer = Vec::new();
            // A connection that is closed with unread bytes is reset.
            let _ = client.read_to_end(&mut answer);
            let answer = String::from_utf8_lossy(&answer);
            let case = format!("{protocol} {length}: {answer:?}");
            match protocol {
                "scgi" | "uwsgi" => assert_eq!(answer, "", "{case}"),
                "fastcgi" => assert!(answer.contains("Status: 400 Bad Request\r\n"), "{case}"),
                _ => assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{case}"),
            }
            if protocol != "http" {
                program.wait_for("RUST0054");
            }
        }
    }
    program.stop();
    for length in ["+25", "abc", "1 2"] {
        let ended = crate::cgi::ask(&[
            ("PATH_INFO", "/echo"),
            ("REQUEST_METHOD", "POST"),
            ("CONTENT_LENGTH", length),
        ]);
        assert!(ended.stdout.starts_with("Status: 400 "), "{length}: {}", ended.stdout);
    }
}
