//! The needs of asynchronous applications: work after the response, tasks at the process's start and
//! end, a time-out layer, cancellation, files, an HTTP client, a database.

use std::fs::OpenOptions;
use std::future::pending;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path as PathOf, State};
use axum::http::StatusCode;
use axum::routing::{get, put};
use futures_util::TryStreamExt as _;
use mod_rust::Factory;
use mod_rust::gateway::{Error, Result};
use serde::Deserialize;
use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use tokio::fs::File;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::io::{ReaderStream, StreamReader};
use tower_http::timeout::TimeoutLayer;

/// The options, which `RustAppOption` sets.
#[derive(Clone, Debug, Deserialize)]
pub struct Options {
    /// The folder for the diary, the database and the files.
    pub folder: PathBuf,
}

/// The time that the time-out layer gives a request.
const LONGEST: Duration = Duration::from_millis(300);

/// A file with a line for each event, which the tests read.
#[derive(Clone, Debug)]
struct Diary(PathBuf);

impl Diary {
    fn write(&self, line: &str) {
        let file = OpenOptions::new().create(true).append(true).open(&self.0);
        file.and_then(|mut file| file.write_all(format!("{line}\n").as_bytes())).expect("a diary");
    }
}

/// Writes a line when it is dropped: a future that is cancelled drops what it holds.
struct Dropped(Diary, &'static str);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.write(self.1);
    }
}

/// A task that runs from the process's start to its end, which waits for it.
struct Watch(Option<JoinHandle<()>>);

impl Watch {
    fn start(diary: Diary) -> Self {
        Self(Some(tokio::spawn(async move {
            diary.write("started");
            mod_rust::ending().await;
            tokio::time::sleep(Duration::from_millis(50)).await;
            diary.write("ended");
        })))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(task) = self.0.take() {
            let _ = Handle::current().block_on(task);
        }
    }
}

struct Chores {
    folder: PathBuf,
    diary: Diary,
    database: SqlitePool,
    client: reqwest::Client,
    gate: Arc<Notify>,
    _watch: Watch,
}

type Shared = State<Arc<Chores>>;
type Answer<T> = std::result::Result<T, (StatusCode, String)>;

/// Makes an error of the application a 500 with its text.
fn failed(error: impl std::fmt::Display) -> (StatusCode, String) {
    (StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
}

/// Waits for ever, or until it is cancelled.
async fn hang(State(chores): Shared) {
    let _dropped = Dropped(chores.diary.clone(), "hang was dropped");
    chores.diary.write("hang");
    pending().await
}

/// Waits for ever, in the time-out layer.
async fn slow(State(chores): Shared) {
    let _dropped = Dropped(chores.diary.clone(), "slow was dropped");
    pending().await
}

/// Answers, and works on when the gate is opened.
async fn after(State(chores): Shared) -> StatusCode {
    let (diary, gate) = (chores.diary.clone(), Arc::clone(&chores.gate));
    tokio::spawn(async move {
        gate.notified().await;
        diary.write("worked after the response");
    });
    StatusCode::ACCEPTED
}

async fn open_gate(State(chores): Shared) {
    // A permit stays if the task is not there yet.
    chores.gate.notify_one();
}

async fn store(State(chores): Shared, PathOf(name): PathOf<String>, body: Body) -> Answer<String> {
    let mut file = File::create(chores.folder.join(name)).await.map_err(failed)?;
    let body = body.into_data_stream().map_err(io::Error::other);
    let size = tokio::io::copy(&mut StreamReader::new(body), &mut file).await.map_err(failed)?;
    file.sync_all().await.map_err(failed)?;
    Ok(size.to_string())
}

async fn load(State(chores): Shared, PathOf(name): PathOf<String>) -> Answer<Body> {
    let file = File::open(chores.folder.join(name)).await.map_err(failed)?;
    Ok(Body::from_stream(ReaderStream::new(file)))
}

/// Fetches a file of a server on this machine.
async fn fetch(
    State(chores): Shared,
    PathOf((port, name)): PathOf<(u16, String)>,
) -> Answer<(StatusCode, Body)> {
    let url = format!("http://127.0.0.1:{port}/{name}");
    let response = chores.client.get(url).send().await.map_err(failed)?;
    Ok((response.status(), Body::from_stream(response.bytes_stream())))
}

async fn add_note(State(chores): Shared, note: String) -> Answer<StatusCode> {
    let insert = sqlx::query("INSERT INTO notes (note) VALUES (?)").bind(note);
    insert.execute(&chores.database).await.map_err(failed)?;
    Ok(StatusCode::CREATED)
}

async fn notes(State(chores): Shared) -> Answer<String> {
    let select = sqlx::query_scalar::<_, String>("SELECT note FROM notes ORDER BY note");
    Ok(select.fetch_all(&chores.database).await.map_err(failed)?.join("\n"))
}

async fn open(file: &Path) -> Result<SqlitePool, sqlx::Error> {
    let options = SqliteConnectOptions::new().filename(file).create_if_missing(true);
    let options = options.busy_timeout(Duration::from_secs(60));
    let pool = SqlitePoolOptions::new().max_connections(2).connect_with(options).await?;
    sqlx::query("CREATE TABLE IF NOT EXISTS notes (note TEXT NOT NULL)").execute(&pool).await?;
    Ok(pool)
}

/// Returns the router.
///
/// # Errors
///
/// The database cannot be opened.
pub async fn router(options: Options) -> Result<Router> {
    let folder = options.folder;
    let diary = Diary(folder.join("diary"));
    let database = open(&folder.join("notes.db")).await;
    let chores = Chores {
        database: database.map_err(Error::from_source)?,
        client: reqwest::Client::new(),
        gate: Arc::default(),
        _watch: Watch::start(diary.clone()),
        folder,
        diary,
    };
    let timeout = TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, LONGEST);
    Ok(Router::new()
        .route("/slow", get(slow).layer(timeout))
        .route("/hang", get(hang))
        .route("/after", get(after).post(open_gate))
        .route("/files/{name}", put(store).get(load))
        .route("/fetch/{port}/{name}", get(fetch))
        .route("/notes", get(notes).post(add_note))
        .with_state(Arc::new(chores)))
}

/// The application.
#[must_use]
pub fn factory() -> Factory {
    Factory::service_async(router)
}
