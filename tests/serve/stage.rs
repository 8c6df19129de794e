//! The program that the tests of `mod_rust::serve` start, whose requests stop at given points.

mod notices;

use std::io::{BufRead as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use mod_rust::{Body, Environ, Error, Factory, Gateway, Result, StartResponse};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Options {
    /// The application cannot be built while there is such a file.
    #[serde(default)]
    broken_by: Option<PathBuf>,
    /// `/wait` holds its thread while there is such a file.
    #[serde(default)]
    held_by: Option<PathBuf>,
    /// It gets a line for each stage that is dropped.
    #[serde(default)]
    journal: Option<PathBuf>,
    /// It sets up a subscriber with mod_rust's layer.
    #[serde(default)]
    layer: bool,
}

fn build(options: Options) -> Result<impl mod_rust::Application> {
    if options.broken_by.is_some_and(|path| path.exists()) {
        return Err(Error::new("the database is away"));
    }
    if options.journal.is_some() {
        // A program does this in `main`.
        tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    }
    #[cfg(feature = "tracing-subscriber")]
    if options.layer {
        use tracing_subscriber::prelude::*;
        tracing_subscriber::registry().with(mod_rust::gateway::log_layer()).init();
    }
    #[cfg(not(feature = "tracing-subscriber"))]
    assert!(!options.layer, "without the feature there is no layer");
    Ok(Stage { held_by: options.held_by, journal: options.journal })
}

struct Stage {
    held_by: Option<PathBuf>,
    journal: Option<PathBuf>,
}

impl Drop for Stage {
    fn drop(&mut self) {
        let Some(journal) = &self.journal else { return };
        let journal = std::fs::OpenOptions::new().create(true).append(true).open(journal);
        let line = format!("dropped in process {}\n", std::process::id());
        let _ = journal.and_then(|mut journal| journal.write_all(line.as_bytes()));
    }
}

impl mod_rust::Application for Stage {
    fn call<'x>(
        &self,
        environ: Environ<'x>,
        start_response: StartResponse<'x>,
    ) -> Result<Body<'x>> {
        stage(environ, start_response, self.held_by.as_deref())
    }
}

/// The time that some requests take.
const NAP: std::time::Duration = std::time::Duration::from_secs(2);

#[inline(never)]
fn boom<'x>() -> Result<Body<'x>> {
    panic!("a panic of the stage's")
}

/// Notes beside `file` that a request begins or ends.
fn trace(file: Option<&Path>, event: &str) {
    if let Some(file) = file {
        let path = file.with_extension("trace");
        let opened = std::fs::OpenOptions::new().create(true).append(true).open(path);
        opened.and_then(|mut file| file.write_all(event.as_bytes())).expect("a file");
    }
}

/// Waits until there is no such file.
fn hold(file: Option<&Path>) {
    while file.is_some_and(Path::exists) {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

fn stage<'x>(
    mut environ: Environ<'x>,
    start_response: StartResponse<'x>,
    held_by: Option<&Path>,
) -> Result<Body<'x>> {
    let text = |start_response: StartResponse<'x>, body: Vec<u8>| {
        start_response.start(200, [("Content-Type", "text/plain")])?;
        Ok(Body::from(body))
    };
    match environ.path_info() {
        // The process that serves.
        b"/pid" => {
            let pid = std::process::id().to_string();
            text(start_response, pid.into_bytes())
        }
        // Answers at once, and ends when the request body does.
        path @ (b"/hold" | b"/open") => {
            // `/open` needs a descriptor then.
            let opens = path == b"/open";
            let mut writer = start_response.start(200, [("Content-Type", "text/plain")])?;
            writer.write_all(b"held,")?;
            writer.flush()?;
            let mut length = 0;
            loop {
                let read = environ.input().fill_buf()?.len();
                if read == 0 {
                    break;
                }
                environ.input().consume(read);
                length += read;
            }
            if opens {
                std::fs::File::open("/proc/self/exe")?;
            }
            writer.put(format!("{length}"))?;
            Ok(Body::empty())
        }
        b"/echo" => {
            let body = environ.input().read_all(1 << 20)?;
            text(start_response, body)
        }
        // More than any socket takes.
        b"/huge" => text(start_response, vec![b'x'; 64 << 20]),
        // 16 MiB in pieces, for which the application waits where its reader is slow.
        b"/bulk" => {
            let pieces = (0..256).map(|_| Ok(vec![b'x'; 64 << 10].into()));
            start_response.start(200, [("Content-Type", "text/plain")])?;
            Ok(Body::from_chunks(pieces))
        }
        b"/wait" => {
            trace(held_by, "+");
            hold(held_by);
            trace(held_by, "-");
            text(start_response, b"waited".to_vec())
        }
        // Takes two seconds to answer.
        b"/doze" => {
            std::thread::sleep(NAP);
            text(start_response, b"awake".to_vec())
        }
        // `/wait` within the response.
        b"/nods" => {
            let mut writer = start_response.start(200, [("Content-Type", "text/plain")])?;
            writer.write_all(b"some")?;
            writer.flush()?;
            hold(held_by);
            writer.write_all(b" more")?;
            Ok(Body::empty())
        }
        b"/away" => {
            start_response.start(302, [("Location", "http://elsewhere.example/")])?;
            Ok(Body::empty())
        }
        b"/inside" => Ok(Body::internal_redirect("/other/path?a=b")),
        b"/log" => {
            environ.log(mod_rust::gateway::Level::Warn, "a line of the application's");
            log::info!("a record of a crate's");
            let _span = tracing::info_span!("outer", number = 7).entered();
            tracing::warn!(size = 2, "an event in €");
            text(start_response, b"logged".to_vec())
        }
        // The state of signals in a program that the application starts.
        b"/child" => {
            let child = std::process::Command::new("/bin/cat").arg("/proc/self/status").output();
            text(start_response, child.map_err(|error| Error::new(error.to_string()))?.stdout)
        }
        b"/boom" => boom(),
        b"/fail" => Err(Error::new("it does not work")),
        b"/late" => {
            let mut writer = start_response.start(200, [("Content-Type", "text/plain")])?;
            writer.write_all(b"some")?;
            writer.flush()?;
            Err(Error::new("out of words"))
        }
        _ => {
            let mut all = Vec::new();
            environ.each(|key: &[u8], value: &[u8]| {
                all.extend_from_slice(key);
                all.push(b'=');
                all.extend_from_slice(value);
                all.push(b'\n');
            });
            text(start_response, all)
        }
    }
}

fn main() -> ExitCode {
    Gateway::new("stage", "1.0")
        .application("stage", Factory::with_options(build))
        .application("notices", notices::factory())
        .application(
            "rest",
            Factory::service(axum::Router::new().fallback(std::future::pending::<String>)),
        )
        .mount("/rest", "rest")
        .mount("/", "stage")
        .main()
}
