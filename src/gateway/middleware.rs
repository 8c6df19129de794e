//! Middleware: an application around another, which sees the request first and the response last.
//!
//! A middleware implements [`Application`](super::Application) and calls the inner application. On
//! the way in it changes the [`Environ`](super::Environ). On the way out it changes the head with
//! [`map_head`] and the body with [`Body::into_stream`](super::Body::into_stream). For everything
//! else, [`StartResponse::wrap`] takes any [`Respond`].
//!
//! ```
//! use bytes::Bytes;
//! use http::HeaderMap;
//! use mod_rust::gateway::middleware::map_head;
//! use mod_rust::gateway::{Application, Body, BodyStream, Environ, Pace, Result, StartResponse};
//!
//! /// Middleware that answers in upper case.
//! struct Loud<A>(A);
//!
//! impl<A: Application> Application for Loud<A> {
//!     fn call<'x>(
//!         &self,
//!         mut environ: Environ<'x>,
//!         start_response: StartResponse<'x>,
//!     ) -> Result<Body<'x>> {
//!         environ.set("shop.loud", "1");
//!         let start_response = map_head(start_response, |head| {
//!             head.set("X-Loud", "yes");
//!             Ok(())
//!         });
//!         let body = self.0.call(environ, start_response)?;
//!         let length = body.length();
//!         Ok(Body::stream(Louder(body.into_stream()?)).with_length(length))
//!     }
//! }
//!
//! struct Louder<'x>(Box<dyn BodyStream + 'x>);
//!
//! impl BodyStream for Louder<'_> {
//!     fn next_chunk(&mut self, pace: &mut dyn Pace) -> Result<Option<Bytes>> {
//!         // The same pace, so that the server sends chunks as early as before.
//!         let chunk = self.0.next_chunk(pace)?;
//!         Ok(chunk.map(|chunk| Bytes::from(chunk.to_ascii_uppercase())))
//!     }
//!
//!     fn trailers(&mut self) -> Option<HeaderMap> {
//!         self.0.trailers()
//!     }
//! }
//!
//! # use mod_rust::gateway::{app_fn, memory::TestRequest};
//! let app = Loud(app_fn(|_environ, start_response| {
//!     start_response.start(200, [("Content-Type", "text/plain")])?;
//!     Ok(Body::from("hello\n"))
//! }));
//! let response = TestRequest::get("/").call(&app);
//! assert_eq!(response.header("x-loud"), Some(&b"yes"[..]));
//! assert_eq!(response.header("content-length"), Some(&b"6"[..]));
//! assert_eq!(response.text(), "HELLO\n");
//! ```

use bytes::Bytes;
use http::StatusCode;

use super::error::Result;
use super::start_response::{EachHeader, Respond, StartResponse};
use super::status::{IntoStatus, Status};

/// Returns a `start_response` that calls `edit` with each head before it is passed on.
///
/// If the middleware changes the body's length, `edit` must remove Content-Length.
pub fn map_head<'x>(
    start_response: StartResponse<'x>,
    edit: impl Fn(&mut Head) -> Result<()> + 'x,
) -> StartResponse<'x> {
    StartResponse::wrap(MapHead { inner: start_response, edit })
}

/// The status and the headers of a response.
#[derive(Clone, Debug)]
pub struct Head {
    status: StatusCode,
    reason: Option<Vec<u8>>,
    headers: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Head {
    /// Returns the status.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// Replaces the status and its reason phrase.
    ///
    /// # Errors
    ///
    /// [`super::ErrorKind::InvalidStatus`] unless the status is final.
    pub fn set_status<'a>(&mut self, status: impl IntoStatus<'a>) -> Result<()> {
        let status = status.into_status()?;
        self.status = status.code();
        self.reason = status.reason().map(<[u8]>::to_vec);
        Ok(())
    }

    /// Returns the headers, in order.
    pub fn headers(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.headers.iter().map(|(name, value)| (&name[..], &value[..]))
    }

    /// Returns the value of the first header of this name, in any case.
    #[must_use]
    pub fn get(&self, name: impl AsRef<[u8]>) -> Option<&[u8]> {
        let name = name.as_ref();
        self.headers().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Appends a header.
    pub fn add(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        self.headers.push((name.as_ref().to_vec(), value.as_ref().to_vec()));
    }

    /// Replaces all headers of this name by one.
    pub fn set(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        self.remove(&name);
        self.add(name, value);
    }

    /// Removes all headers of this name.
    pub fn remove(&mut self, name: impl AsRef<[u8]>) {
        let name = name.as_ref();
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
    }
}

struct MapHead<'x, F> {
    inner: StartResponse<'x>,
    edit: F,
}

impl<F: Fn(&mut Head) -> Result<()>> Respond for MapHead<'_, F> {
    fn start(&self, status: Status<'_>, headers: &mut EachHeader<'_>, replace: bool) -> Result<()> {
        let reason = status.reason().map(<[u8]>::to_vec);
        let mut head = Head { status: status.code(), reason, headers: Vec::new() };
        headers(&mut |name, value| {
            head.add(name, value);
            Ok(())
        })?;
        (self.edit)(&mut head)?;
        let status = Status::with_reason(head.status, head.reason.as_deref())?;
        Respond::start(
            &self.inner,
            status,
            &mut |visit| head.headers().try_for_each(|(name, value)| visit(name, value)),
            replace,
        )
    }

    fn write(&self, data: Bytes) -> Result<()> {
        Respond::write(&self.inner, data)
    }

    fn flush(&self) -> Result<()> {
        Respond::flush(&self.inner)
    }

    fn is_committed(&self) -> bool {
        Respond::is_committed(&self.inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::memory::TestRequest;
    use crate::gateway::{
        Application, Body, Environ, Error, ErrorKind, app_fn, header, validate::Validate,
    };

    /// Lets `edit` have its way with the head.
    struct Edit<A>(A, fn(&mut Head) -> Result<()>);

    impl<A: Application> Application for Edit<A> {
        fn call<'x>(
            &self,
            environ: Environ<'x>,
            start_response: StartResponse<'x>,
        ) -> Result<Body<'x>> {
            self.0.call(environ, map_head(start_response, self.1))
        }
    }

    fn hello<'x>(environ: Environ<'x>, start_response: StartResponse<'x>) -> Result<Body<'x>> {
        let headers = [("Content-Type", "text/plain"), ("X-A", "1"), ("x-a", "2"), ("X-B", "3")];
        let mut writer = start_response.start("200 Fine", headers)?;
        if environ.path_info() == b"/write" {
            writer.put("written, ")?;
            assert!(start_response.is_committed());
        }
        if environ.path_info() == b"/replace" {
            start_response.replace(503, [("X-C", "4")], Error::new("changed"))?;
            return Ok(Body::empty());
        }
        Ok(Body::from("hello"))
    }

    #[test]
    fn a_head_is_edited() {
        let app = Validate::new(Edit(Validate::new(hello), |head| {
            assert_eq!(head.get("CONTENT-type"), Some(&b"text/plain"[..]));
            head.remove("X-a");
            head.add("X-B", "5");
            head.set("content-type", "text/html");
            head.set_status(203)
        }));
        let response = TestRequest::get("/").call(&app);
        assert!(response.is_complete(), "{response:?}");
        assert_eq!((response.status().as_u16(), response.reason()), (203, None));
        let headers: Vec<_> =
            response.headers().iter().map(|(name, value)| (&name[..], &value[..])).collect();
        let expected: [(&[u8], &[u8]); 4] = [
            (b"X-B", b"3"),
            (b"X-B", b"5"),
            (b"content-type", b"text/html"),
            (b"Content-Length", b"5"),
        ];
        assert_eq!(headers, expected);
    }

    #[test]
    fn unedited_headers_stay() {
        let app = Edit(hello, |_head| Ok(()));
        let response = TestRequest::get("/write").call(&app);
        assert!(response.is_complete(), "{response:?}");
        assert_eq!(response.reason(), Some(&b"Fine"[..]));
        assert_eq!(response.headers().len(), 4);
        assert_eq!(response.text(), "written, hello");
    }

    #[test]
    fn a_replacing_head_is_edited_too() {
        let app = Edit(hello, |head| {
            let status = head.status().as_str().to_owned();
            head.set("X-Status", status);
            Ok(())
        });
        let response = TestRequest::get("/replace").call(&app);
        assert_eq!(response.header("x-status"), Some(&b"503"[..]));
        assert_eq!(response.header("x-a"), None);
    }

    #[test]
    fn an_edit_is_held_to_the_rules() {
        for (edit, kind) in [
            (
                (|head| head.set_status(101)) as fn(&mut Head) -> Result<()>,
                ErrorKind::InvalidStatus,
            ),
            (
                |head| {
                    head.add("X", "a\nb");
                    Ok(())
                },
                ErrorKind::InvalidHeader,
            ),
            (
                |head| {
                    head.add(header::HOP_BY_HOP[0], "x");
                    Ok(())
                },
                ErrorKind::HopByHop,
            ),
            (
                |head| {
                    head.set("Content-Length", "4");
                    Ok(())
                },
                ErrorKind::ContentLength,
            ),
            (|_head| Err(Error::new("no")), ErrorKind::Application),
        ] {
            let response = TestRequest::get("/").call(&Edit(hello, edit));
            assert_eq!(response.error().unwrap().kind(), kind);
        }
    }

    #[test]
    fn it_may_answer_itself() {
        let guard = app_fn(|environ, start_response: StartResponse<'_>| {
            if environ.get("REMOTE_USER").is_none() {
                start_response.start(401, [("WWW-Authenticate", "Basic realm=\"x\"")])?;
                return Ok(Body::empty());
            }
            hello(environ, start_response)
        });
        assert_eq!(TestRequest::get("/").call(&guard).status().as_u16(), 401);
        let known = TestRequest::get("/").variable("REMOTE_USER", "alice").call(&guard);
        assert_eq!(known.text(), "hello");
    }
}
