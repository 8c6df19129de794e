//! `front`: the page that `cargo httpd run` serves at `/`: what runs here, and what to click next.

mod page;

use http::Method;
use mod_rust::gateway::app_fn;
use mod_rust::{Application, Body, Environ, Factory, Result, StartResponse};
use serde::Deserialize;

/// The mount points of the other stock applications, for the links of the page.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Options {
    /// The mount point of `hello`.
    pub hello: MountPoint,
    /// The mount point of `probe`.
    pub probe: MountPoint,
}

impl Default for Options {
    fn default() -> Self {
        Self { hello: MountPoint("/hello".into()), probe: MountPoint("/probe".into()) }
    }
}

/// A URL path with a slash in front and none at its end.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct MountPoint(String);

impl TryFrom<String> for MountPoint {
    type Error = &'static str;

    fn try_from(path: String) -> Result<Self, Self::Error> {
        let is_path = path.starts_with('/')
            && !path.starts_with("//")
            && !path.ends_with('/')
            && path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/-._~%".contains(&byte));
        if is_path {
            Ok(Self(path))
        } else {
            Err("expected a URL path with a slash in front and none at its end")
        }
    }
}

/// Returns the factory that a server builds it with.
#[must_use]
pub fn factory() -> Factory {
    Factory::with_options(|options| Ok(front(options)))
}

/// The page, for `GET` and `HEAD` of `/`.
#[must_use]
pub fn front(options: Options) -> impl Application {
    app_fn(move |environ, start_response| answer(&options, &environ, &start_response))
}

fn answer<'x>(
    options: &Options,
    environ: &Environ<'_>,
    start_response: &StartResponse<'_>,
) -> Result<Body<'x>> {
    const TEXT: (&str, &str) = ("Content-Type", "text/plain; charset=utf-8");
    if !matches!(environ.path_info(), b"" | b"/") {
        start_response.start(404, [TEXT])?;
        return Ok(Body::from("nothing is mounted here; the front page is at /\n"));
    }
    if ![Method::GET, Method::HEAD]
        .iter()
        .any(|method| method.as_str().as_bytes() == environ.method())
    {
        start_response.start(405, [TEXT, ("Allow", "GET, HEAD")])?;
        return Ok(Body::from("the front page is there to be read: GET or HEAD\n"));
    }
    start_response.start(
        200,
        [
            ("Content-Type", "text/html; charset=utf-8"),
            ("Cache-Control", "no-store"),
            // The page has its one style sheet within, and nothing else.
            ("Content-Security-Policy", POLICY),
            ("X-Content-Type-Options", "nosniff"),
        ],
    )?;
    Ok(Body::from(page::render(options, environ)))
}

const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

#[cfg(test)]
mod tests {
    use mod_rust::gateway::memory::{TestRequest, TestResponse};

    use super::*;

    fn call(request: &TestRequest) -> TestResponse {
        request.call(&front(Options::default()))
    }

    #[test]
    fn tells_what_runs_and_escapes_it() {
        let response = call(
            &TestRequest::get("/")
                .variable("SERVER_SOFTWARE", "Apache/2.4 <&\"'>")
                .variable("mod_rust.mpm", "event")
                .variable("mod_rust.mode", "embedded"),
        );
        assert_eq!(response.status(), 200);
        assert_eq!(response.header("content-type"), Some(&b"text/html; charset=utf-8"[..]));
        let text = response.text();
        for part in [
            "<dt>Server</dt><dd>Apache/2.4 &lt;&amp;&quot;&#39;&gt;</dd>",
            "<dt>MPM</dt><dd>event</dd>",
            "<dt>Mode</dt><dd>embedded</dd>",
            "<a href=\"/hello\">",
            "<a href=\"/probe/headers?X-One=1&amp;X-One=2\">",
            "<a href=\"/probe/internal?to=/probe/environ\">",
            "curl --data hello &#39;http://localhost/probe/echo&#39;",
        ] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
    }

    #[test]
    fn its_commands_are_safe_to_copy() {
        for (host, shown) in [
            ("[::1]:8080", "http://[::1]:8080/probe/echo"),
            ("a';reboot;'", "http://localhost/probe/echo"),
            ("a$(reboot)", "http://localhost/probe/echo"),
        ] {
            let text = call(&TestRequest::get("/").header("Host", host)).text().into_owned();
            assert!(text.contains(shown) && !text.contains("reboot"), "{host}");
        }
    }

    #[test]
    fn only_the_root_and_only_to_read() {
        assert_eq!(call(&TestRequest::get("").path_info("")).status(), 200);
        assert_eq!(call(&TestRequest::head("/")).status(), 200);
        assert_eq!(call(&TestRequest::get("/favicon.ico")).status(), 404);
        let response = call(&TestRequest::post("/", "x"));
        assert_eq!(response.status(), 405);
        assert_eq!(response.header("allow"), Some(&b"GET, HEAD"[..]));
    }

    #[test]
    fn mount_points_are_paths() {
        let build = |probe| factory().build(&[("probe", probe)].into_iter().collect());
        let page = TestRequest::get("/").call(&*build("/tools/probe").unwrap());
        assert!(page.text().contains("href=\"/tools/probe/internal?to=/tools/probe/environ\""));
        for bad in ["", "/", "probe", "//evil.example", "/probe/", "/a'b", "/a b"] {
            assert!(build(bad).is_err(), "{bad:?}");
        }
    }
}
