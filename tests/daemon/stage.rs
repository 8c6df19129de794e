//! An application whose requests stop at given steps, so that a test can affect its process at a
//! known point. It is a module of its own, which the tests load.
//!
//! A request is `/run?name=NAME&steps=STEP,STEP:NUMBER,...`; see [`step`]. Marks and gates are
//! files in the folder that the option `folder` names. The step `here` adds a line with its process
//! id to `NAME.here`, and `gate` waits for the file `NAME.go`.
#![forbid(unsafe_code)]

#[path = "../serve/notices.rs"]
mod notices;

use std::convert::Infallible;
use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::RawQuery;
use axum::routing::get;
use bytes::Bytes;
use mod_rust::gateway::{
    Application, Body, Environ, Error, ErrorKind, Factory, Result, StartResponse, Writer, service,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    folder: PathBuf,
    /// It cannot be built as long as this file is missing in the folder.
    needs: Option<String>,
    /// Its build waits for this file.
    awaits: Option<String>,
    /// Its build ends the process as long as this file is missing.
    crashes: Option<String>,
    /// With which exit status, if not by a signal.
    status: Option<i32>,
    /// It sets up a logger of its own, as a program does in `main`.
    #[serde(default)]
    logger: bool,
    /// It sets up a subscriber with mod_rust's layer.
    #[serde(default)]
    layer: bool,
}

/// The files that the step `fill` has opened.
static FILES: Mutex<Vec<fs::File>> = Mutex::new(Vec::new());

/// The output of the step `code`. A test changes it in the module's file.
const CODE: &str = "the first code of the stage";

struct Stage {
    folder: PathBuf,
    service: Box<dyn Application>,
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = mark(&self.folder.join("dropped"));
    }
}

/// Makes the services `/service?name=NAME` and `/wait?name=NAME`. The first sends its head at once,
/// and its body of 1000 bytes after `NAME.go` exists. The second answers with the process's id after
/// that, and adds a line to `NAME.gone` if it is dropped before. `/nap` answers after 50 ms, and
/// `/nap?MS` after as many as it says.
fn waiting(folder: PathBuf) -> impl Application {
    let begin = move |query: Option<String>| {
        let query = query.unwrap_or_default();
        let gate = folder.join(format!("{}.go", query.trim_start_matches("name=")));
        mark(&gate.with_extension("here")).map(|()| gate).map_err(|error| error.to_string())
    };
    let begin_wait = begin.clone();
    let late_body = async move |RawQuery(query): RawQuery| {
        let gate = begin(query)?;
        let (sender, receiver) = mpsc::channel(1);
        tokio::spawn(async move {
            pass(&gate).await;
            let _ = sender.send(Ok::<_, Infallible>(Bytes::from(vec![b'w'; 1000]))).await;
        });
        Ok::<_, String>(axum::body::Body::from_stream(ReceiverStream::new(receiver)))
    };
    let wait = async move |RawQuery(query): RawQuery| {
        let mut dropped = MarksDrop(Some(begin_wait(query)?));
        pass(dropped.0.as_deref().unwrap_or(Path::new(""))).await;
        dropped.0 = None;
        Ok::<_, String>(std::process::id().to_string())
    };
    let nap = async |RawQuery(ms): RawQuery| {
        let ms = ms.and_then(|ms| ms.parse().ok()).unwrap_or(50);
        tokio::time::sleep(Duration::from_millis(ms)).await;
        std::process::id().to_string()
    };
    let router = Router::new().route("/service", get(late_body)).route("/wait", get(wait));
    service(router.route("/nap", get(nap)))
}

/// Waits without a thread until the gate is open.
async fn pass(gate: &Path) {
    while !gate.exists() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Marks its drop beside the gate.
struct MarksDrop(Option<PathBuf>);

impl Drop for MarksDrop {
    fn drop(&mut self) {
        if let Some(gate) = &self.0 {
            let _ = mark(&gate.with_extension("gone"));
        }
    }
}

fn build(options: Options) -> Result<Arc<dyn Application>> {
    let status = options.status;
    let folder = options.folder;
    mark(&folder.join("built"))?;
    if let Some(file) = options.needs
        && !folder.join(&file).exists()
    {
        return Err(Error::new(format!("the stage needs {file}")));
    }
    if let Some(file) = options.awaits {
        wait_for(&folder.join(file));
    }
    if let Some(file) = options.crashes
        && !folder.join(file).exists()
    {
        match status {
            #[expect(clippy::exit, reason = "a test is about it")]
            Some(status) => std::process::exit(status),
            None => std::process::abort(),
        }
    }
    if options.logger {
        tracing_subscriber::fmt().init();
    }
    #[cfg(feature = "tracing-subscriber")]
    if options.layer {
        use tracing_subscriber::prelude::*;
        tracing_subscriber::registry().with(mod_rust::gateway::log_layer()).init();
    }
    #[cfg(not(feature = "tracing-subscriber"))]
    assert!(!options.layer, "without the feature there is no layer");
    let service = Box::new(waiting(folder.clone()));
    Ok(Arc::new(Stage { folder, service }))
}

/// Goes down so many bytes of the stack below `top`.
fn deep(top: usize, bytes: usize) -> usize {
    let page = [1_u8; 4096];
    let here = std::hint::black_box(&page).as_ptr().addr();
    let below = if top.saturating_sub(here) < bytes { deep(top, bytes) } else { 0 };
    below + usize::from(page[below % page.len()])
}

/// Adds a line with the process's id.
fn mark(path: &Path) -> Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    Ok(file.write_all(format!("{}\n", std::process::id()).as_bytes())?)
}

fn wait_for(path: &Path) {
    while !path.exists() {
        std::thread::sleep(Duration::from_millis(1));
    }
}

impl Application for Stage {
    fn delegate(&self, environ: &mut Environ<'_>) -> Option<&dyn Application> {
        matches!(environ.path_info(), b"/service" | b"/wait" | b"/nap").then_some(&*self.service)
    }

    fn call<'x>(
        &self,
        environ: Environ<'x>,
        start_response: StartResponse<'x>,
    ) -> Result<Body<'x>> {
        let query = String::from_utf8_lossy(environ.query_string()).into_owned();
        let value = |wanted: &str| {
            let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.into_iter().find(|(name, _)| *name == wanted).map(|(_, value)| value.to_owned())
        };
        match environ.path_info() {
            b"/run" => {
                let mut run = Run {
                    folder: &self.folder,
                    name: value("name").unwrap_or_default(),
                    environ,
                    start_response: &start_response,
                    writer: None,
                };
                for step in value("steps").unwrap_or_default().split(',') {
                    run.step(step)?;
                }
                run.end()
            }
            b"/service" | b"/wait" | b"/nap" => self.service.call(environ, start_response),
            b"/fds" => {
                start_response.start(200, [("Content-Type", "text/plain")])?;
                Ok(Body::from(descriptors()?))
            }
            b"/proc" => {
                let file = value("file").unwrap_or_default();
                let text = match fs::read_link(format!("/proc/self/{file}")) {
                    Ok(target) => target.to_string_lossy().into_owned(),
                    Err(_) => fs::read_to_string(format!("/proc/self/{file}"))?,
                };
                start_response.start(200, [("Content-Type", "text/plain")])?;
                Ok(Body::from(text))
            }
            b"/connect" => {
                let text = match UnixStream::connect(value("path").unwrap_or_default()) {
                    Ok(_) => "connected".to_owned(),
                    Err(error) => error.kind().to_string(),
                };
                start_response.start(200, [("Content-Type", "text/plain")])?;
                Ok(Body::from(text))
            }
            b"/program" => {
                let script = format!("exit {}", value("status").unwrap_or_default());
                let ended = Command::new("sh").args(["-c", &script]).status()?;
                start_response.start(200, [("Content-Type", "text/plain")])?;
                Ok(Body::from(ended.to_string()))
            }
            b"/var" => {
                let text = std::env::var(value("name").unwrap_or_default()).unwrap_or_default();
                start_response.start(200, [("Content-Type", "text/plain")])?;
                Ok(Body::from(text))
            }
            other => Err(Error::new(format!("no such scene: {}", other.escape_ascii()))),
        }
    }
}

/// Lists each descriptor of this process: number, close-on-exec flag, target.
fn descriptors() -> Result<String> {
    let mut text = String::new();
    for entry in fs::read_dir("/proc/self/fd")? {
        let entry = entry?;
        let number = entry.file_name().to_string_lossy().into_owned();
        // The folder's own has gone once it is read.
        let (Ok(target), Ok(info)) = (
            fs::read_link(entry.path()),
            fs::read_to_string(format!("/proc/self/fdinfo/{number}")),
        ) else {
            continue;
        };
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap_or_default();
        let flags = u32::from_str_radix(flags.trim(), 8).unwrap_or(0);
        let closes = if flags & 0o2_000_000 == 0 { "stays" } else { "closes" };
        let _ = writeln!(text, "{number} {closes} {}", target.display());
    }
    Ok(text)
}

/// A request on its way through its steps.
struct Run<'r, 'x> {
    folder: &'r Path,
    name: String,
    environ: Environ<'x>,
    start_response: &'r StartResponse<'x>,
    writer: Option<Writer<'r>>,
}

impl<'r> Run<'r, '_> {
    fn step(&mut self, step: &str) -> Result<()> {
        let (word, argument) = step.split_once(':').unwrap_or((step, ""));
        let number = argument.parse().unwrap_or(0);
        match word {
            "" => {}
            "here" => mark(&self.folder.join(format!("{}.here", self.name)))?,
            "gate" => wait_for(&self.folder.join(format!("{}.go", self.name))),
            "read" => {
                let mut bytes = vec![0; number];
                self.environ.input().read_exact(&mut bytes)?;
            }
            "readall" => {
                self.environ.input().read_all(1 << 30)?;
            }
            "cut" => {
                let error = self.environ.input().read_all(1 << 30).expect_err("a body cut off");
                assert_eq!(error.kind(), ErrorKind::InputMalformed, "{error}");
            }
            "pause" => std::thread::sleep(Duration::from_millis(number as u64)),
            "echo" => {
                let body = self.environ.input().read_all(1 << 30)?;
                self.writer()?.put(body)?;
            }
            "head" => {
                let length = (!argument.is_empty()).then_some(("Content-Length", argument));
                let headers = length.into_iter().chain([("Content-Type", "text/plain")]);
                let headers: Vec<_> = headers.collect();
                self.writer = Some(self.start_response.start(200, headers)?);
            }
            "write" => self.writer()?.write_all(&vec![b'w'; number])?,
            "flush" => self.writer()?.flush()?,
            "status" => {
                self.writer = Some(self.start_response.start(argument, [("X-Stage", "here")])?);
            }
            "code" => self.writer()?.write_all(CODE.as_bytes())?,
            // KiB of the thread's stack.
            "deep" => {
                let top = (&raw const step).addr();
                std::hint::black_box(deep(top, number << 10));
            }
            "log" => log::warn!("the stage says {argument}"),
            "trace" => tracing::info!("the stage traces {argument}"),
            // Two spans, the inner one with a field that is set later.
            "span" => {
                let later = tracing::field::Empty;
                let _outer = tracing::info_span!("outer", number = 7).entered();
                let inner = tracing::debug_span!("inner", text = "a Ä", later).entered();
                inner.record("later", true);
                tracing::warn!(size = 2, "the stage spans {argument} in €");
                tracing::trace!("the stage whispers {argument}");
                // A thread of its own works on no request.
                std::thread::scope(|scope| {
                    scope.spawn(|| tracing::error!("the stage spans {argument} elsewhere"));
                });
            }
            #[allow(clippy::print_stdout, reason = "a test is about it")]
            "print" => println!("the stage prints {argument}"),
            "panic" => panic!("the stage panics {argument}"),
            "segv" => {
                let own = rustix::process::getpid();
                rustix::process::kill_process(own, rustix::process::Signal::SEGV)
                    .map_err(std::io::Error::from)?;
                // Any thread may take the signal, so this one must not respond meanwhile.
                loop {
                    std::thread::park();
                }
            }
            // This step uses CPU time, in milliseconds, independent of other processes.
            "spin" => {
                let used = || -> Result<u64> {
                    let text = fs::read_to_string("/proc/thread-self/schedstat")?;
                    let ns = text.split(' ').next().and_then(|ns| ns.parse::<u64>().ok());
                    Ok(ns.unwrap_or(u64::MAX) / 1_000_000)
                };
                let end = used()? + number as u64;
                while used()? < end {}
            }
            // Touched, and kept for ever.
            "grow" => {
                vec![1_u8; number << 20].leak();
            }
            // Descriptors, until there are none left; and the mark with the last one.
            "fill" => {
                let mut files = FILES.lock().unwrap_or_else(PoisonError::into_inner);
                while let Ok(file) = fs::File::open("/dev/null") {
                    files.push(file);
                }
                files.pop();
                mark(&self.folder.join(format!("{}.here", self.name)))?;
                files.extend(fs::File::open("/dev/null"));
            }
            "empty" => FILES.lock().unwrap_or_else(PoisonError::into_inner).clear(),
            // The most descriptors that the process may have.
            "files" => {
                let limit = getrlimit(Resource::Nofile);
                setrlimit(Resource::Nofile, Rlimit { current: Some(number as u64), ..limit })
                    .map_err(std::io::Error::from)?;
            }
            "abort" => std::process::abort(),
            "exit" => std::process::exit(argument.parse().unwrap_or(0)),
            _ => return Err(Error::new(format!("no such step: {step}"))),
        }
        Ok(())
    }

    fn writer(&mut self) -> Result<&mut Writer<'r>> {
        self.writer.as_mut().ok_or_else(|| Error::new("there was no head"))
    }

    fn end<'b>(self) -> Result<Body<'b>> {
        if self.writer.is_some() {
            return Ok(Body::empty());
        }
        self.start_response.start(200, [("Content-Type", "text/plain")])?;
        Ok(Body::from(format!("{}\n", std::process::id())))
    }
}

mod_rust::module! {
    /// `LoadModule stage_module …/mod_stage.so`
    pub static stage_module: "mod_stage.c";
    applications = { "stage" => Factory::with_options(build), "notices" => notices::factory() };
}
