//! `/file`: the file wrapper, within one directory.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use mod_rust::gateway::FileBody;
use mod_rust::{Body, Environ, Error, StartResponse};

use super::Probe;
use super::answer::{Answer, Refusal};
use super::query::Query;

/// `/file?path=…`: that file below the option `root`, whose path leads nowhere else.
pub(super) fn file<'x>(
    probe: &Probe,
    environ: Environ<'x>,
    start_response: &StartResponse<'x>,
) -> Answer<'x> {
    let Some(root) = &probe.options.root else {
        return Err(Refusal::Answer(404, "there is no file: the option root is not set".into()));
    };
    let path = Query::of(&environ).required("path")?;
    let path = locate(root.real(), Path::new(OsStr::from_bytes(&path)))?;
    let file = File::open(&path).and_then(FileBody::new).map_err(refuse)?;
    start_response.start(200, [("Content-Type", content_type(&path))])?;
    Ok(Body::file(file))
}

/// The real path of a regular file below `root`.
fn locate(root: &Path, path: &Path) -> Result<PathBuf, Refusal> {
    let is_plain = |component| matches!(component, Component::Normal(_) | Component::CurDir);
    if !path.components().all(is_plain) {
        return Err(Refusal::Answer(
            403,
            "path is refused; allowed is a relative one without \"..\"".into(),
        ));
    }
    let real = fs::canonicalize(root.join(path)).map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied => refuse(error),
        // Also a name too long, a NUL in it, a file in the place of a directory.
        _ => no_such_file(&error),
    })?;
    if !real.starts_with(root) {
        return Err(Refusal::Answer(403, "path leads out of the option root".into()));
    }
    // To open something else, a FIFO say, might wait forever.
    if !fs::metadata(&real).map_err(refuse)?.is_file() {
        return Err(Refusal::Answer(404, "path is not that of a regular file".into()));
    }
    Ok(real)
}

fn refuse(error: io::Error) -> Refusal {
    match error.kind() {
        io::ErrorKind::NotFound => no_such_file(&error),
        io::ErrorKind::PermissionDenied => {
            Refusal::Answer(403, "the server may not read that file".into())
        }
        _ => Error::from(error).into(),
    }
}

fn no_such_file(error: &io::Error) -> Refusal {
    Refusal::Answer(404, format!("there is no such file: {error}"))
}

fn content_type(path: &Path) -> &'static str {
    let extension = path.extension().and_then(OsStr::to_str).unwrap_or_default();
    match extension.to_ascii_lowercase().as_str() {
        "css" => "text/css; charset=utf-8",
        "csv" => "text/csv; charset=utf-8",
        "gif" => "image/gif",
        "htm" | "html" => "text/html; charset=utf-8",
        "jpeg" | "jpg" => "image/jpeg",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "json" => "application/json",
        "md" | "txt" => "text/plain; charset=utf-8",
        "pdf" => "application/pdf",
        "png" => "image/png",
        "svg" => "image/svg+xml",
        "wasm" => "application/wasm",
        "webp" => "image/webp",
        "xml" => "application/xml",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use mod_rust::gateway::memory::{TestRequest, TestResponse};

    use super::*;

    /// `root` with a file in it, and beside it one that must stay out of reach.
    struct Tree(PathBuf);

    impl Tree {
        fn new(name: &str) -> Self {
            let base = std::env::temp_dir().join(format!("probe-{name}-{}", std::process::id()));
            fs::create_dir_all(base.join("root/sub")).unwrap();
            fs::write(base.join("root/a b.html"), "<p>").unwrap();
            fs::write(base.join("secret"), "secret").unwrap();
            symlink("../secret", base.join("root/out")).unwrap();
            symlink("..", base.join("root/up")).unwrap();
            symlink("a b.html", base.join("root/in.txt")).unwrap();
            symlink("loop", base.join("root/loop")).unwrap();
            Self(base)
        }

        fn get(&self, query: &str) -> TestResponse {
            self.call(&TestRequest::get(format!("/file?path={query}")))
        }

        fn call(&self, request: &TestRequest) -> TestResponse {
            let root = self.0.join("root").to_str().unwrap().to_owned();
            request.call(&*Probe::factory().build(&[("root", root)].into_iter().collect()).unwrap())
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn serves_what_lies_below_root() {
        let tree = Tree::new("serves");
        for path in ["a%20b.html", "./a%20b.html", "in.txt"] {
            let response = tree.get(path);
            assert_eq!((response.status().as_u16(), &*response.text()), (200, "<p>"), "{path}");
            assert_eq!(
                response.header("content-type"),
                Some(&b"text/html; charset=utf-8"[..]),
                "{path}"
            );
        }
    }

    #[test]
    fn is_conditional() {
        let tree = Tree::new("conditional");
        let tag = tree.get("in.txt").header("etag").unwrap().to_vec();
        let again = tree.call(&TestRequest::get("/file?path=in.txt").header("If-None-Match", tag));
        assert_eq!(again.status(), 304);
    }

    #[test]
    fn leads_nowhere_else() {
        let tree = Tree::new("leads");
        for (path, status) in [
            ("", 404),
            (".", 404),
            ("sub", 404),
            ("none", 404),
            ("a%20b.html/", 404),
            ("a%20b.html/x", 404),
            ("loop", 404),
            ("a%00b", 404),
            (&"x".repeat(300), 404),
            ("out", 403),
            ("up/secret", 403),
            ("up/root/in.txt", 200),
            ("../secret", 403),
            ("sub/../in.txt", 403),
            ("/etc/passwd", 403),
        ] {
            let response = tree.get(path);
            assert_eq!(response.status().as_u16(), status, "{path}: {}", response.text());
            assert!(!response.text().contains("secret"), "{path}");
        }
        assert_eq!(super::super::get("/file?path=in.txt").status(), 404);
        assert_eq!(tree.call(&TestRequest::get("/file")).status(), 400);
    }
}
