//! A server with the process group `app`, whose application is `/stage`, and the gates at which
//! requests to the stage wait.

use std::fs::{self, Permissions};
use std::ops::Deref;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use httpd_testkit::{Builder, Connection, Group, Mpm, Response, Server, Signal, proc};

/// The folder of marks and gates, which any user may write in. Removed when dropped.
#[derive(Debug)]
pub(crate) struct Gates(PathBuf);

impl Gates {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = format!("mod_rust-gates-{}-{number}", std::process::id());
        let folder = PathBuf::from("/tmp").join(folder);
        fs::create_dir(&folder).expect("a folder for the gates");
        fs::set_permissions(&folder, Permissions::from_mode(0o777)).expect("its mode");
        // Processes of several users write these.
        for file in ["built", "dropped"] {
            fs::write(folder.join(file), "").expect("a file among the gates");
            fs::set_permissions(folder.join(file), Permissions::from_mode(0o666))
                .expect("its mode");
        }
        Self(folder)
    }

    /// Returns the path of a file of the stage.
    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.0.join(file)
    }

    /// Lets the requests `name` pass their gate.
    pub(crate) fn open(&self, name: &str) {
        self.create(&format!("{name}.go"));
    }

    pub(crate) fn create(&self, file: &str) {
        fs::write(self.path(file), "").expect("a file among the gates");
    }

    /// Returns the processes in which requests `name` reached their mark, once for each time.
    pub(crate) fn marks(&self, name: &str) -> Vec<i32> {
        self.lines(&format!("{name}.here"))
    }

    /// Returns the processes in which waiting requests `name` were dropped, once for each.
    pub(crate) fn gone(&self, name: &str) -> Vec<i32> {
        self.lines(&format!("{name}.gone"))
    }

    /// Returns the processes in which the stage was built.
    pub(crate) fn built(&self) -> Vec<i32> {
        self.lines("built")
    }

    /// The processes in which a stage was dropped.
    pub(crate) fn dropped(&self) -> Vec<i32> {
        self.lines("dropped")
    }

    fn lines(&self, file: &str) -> Vec<i32> {
        let text = fs::read_to_string(self.path(file)).unwrap_or_default();
        text.lines().map(|line| line.parse().expect("a process id")).collect()
    }
}

impl Drop for Gates {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The server that a test starts.
pub(crate) struct Setup {
    builder: Builder,
    group: String,
    stage: String,
    /// The gates' folder as the processes see it.
    folder: PathBuf,
    gates: Gates,
    /// The module is a copy below the server root.
    has_copy: bool,
}

/// Returns the only child of httpd that serves. A process of a group takes its title a moment after
/// its fork.
pub(crate) fn child_of(stage: &Stage) -> i32 {
    let is_daemon = |pid: &i32| proc::title(*pid).is_ok_and(|title| title.contains("(rust:"));
    let own = || {
        let children = stage.children_pids().into_iter();
        children.filter(|pid| !is_daemon(pid)).collect::<Vec<_>>()
    };
    stage.wait_for("one child of httpd's", || own().len() == 1);
    own()[0]
}

/// Returns a server whose group has these options.
pub(crate) fn setup(group: &str) -> Setup {
    let builder = Server::builder()
        .load("status")
        .conf("<Location /server-status>\nSetHandler server-status\n</Location>");
    let gates = Gates::new();
    let (group, stage, folder) = (group.to_owned(), String::new(), gates.0.clone());
    Setup { builder, group, stage, folder, gates, has_copy: false }
}

impl Setup {
    /// Sets an option of the stage: `needs`, `awaits`, `crashes`.
    pub(crate) fn stage(mut self, option: &str, file: &str) -> Self {
        self.stage += &format!("RustAppOption {option} {file}\n");
        self
    }

    /// Mounts the probe too, in the group `probe`, which is another module's.
    pub(crate) fn probe(self, group: &str) -> Self {
        let conf = format!(
            "RustDaemonProcess probe {group}\nRustAppAlias /probe probe process-group=probe"
        );
        self.with(|builder| builder.module("mod_rust.so").conf(&conf))
    }

    /// Loads the stage from `modules/mod_stage.so` below the server root, which has these bytes.
    pub(crate) fn module_file(mut self, bytes: &[u8]) -> Self {
        self.has_copy = true;
        self.with(|builder| {
            builder
                .file("modules/mod_stage.so", bytes)
                .conf("LoadModule stage_module \"{root}/modules/mod_stage.so\"")
        })
    }

    /// Errors of the group that the test brings about, by their codes.
    pub(crate) fn allow(mut self, codes: &[&str]) -> Self {
        for code in codes {
            self.builder = self.builder.allow_log(code);
        }
        // httpd itself logs this for a process that a signal ended.
        if codes.contains(&"RUST0031") {
            self.with(|builder| builder.allow_log("AH00052"))
        } else {
            self
        }
    }

    /// Returns the gates' folder.
    pub(crate) fn folder(&self) -> PathBuf {
        self.gates.0.clone()
    }

    /// Says where that is for processes with a root of their own.
    pub(crate) fn inside(mut self, folder: &str) -> Self {
        self.folder = folder.into();
        self
    }

    pub(crate) fn mpm(self, mpm: Mpm) -> Self {
        self.with(|builder| builder.mpm(mpm))
    }

    pub(crate) fn with(mut self, change: impl FnOnce(Builder) -> Builder) -> Self {
        self.builder = change(self.builder);
        self
    }

    pub(crate) fn start(self) -> Stage {
        let Self { builder, group, stage, folder, gates, has_copy } = self;
        let builder = if has_copy { builder } else { builder.module("mod_stage.so") };
        let folder = folder.display();
        let server = builder
            .conf(&format!(
                "RustDaemonProcess app {group}\n\
                 RustAppAlias /stage stage process-group=app\n\
                 RustAppOption folder {folder}\n{stage}"
            ))
            .start();
        Stage { server, gates }
    }
}

/// A server, and the gates of its stage.
pub(crate) struct Stage {
    // Dropped in this order: what waits at a gate keeps the processes.
    server: Server,
    pub(crate) gates: Gates,
}

impl Deref for Stage {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

/// Returns the target of a request with these steps.
pub(crate) fn run(name: &str, steps: &str) -> String {
    format!("/stage/run?name={name}&steps={steps}")
}

impl Stage {
    pub(crate) fn app(&self) -> Group<'_> {
        self.group("app")
    }

    /// Sends a GET on a connection of its own, and does not wait for the answer.
    pub(crate) fn send(&self, target: &str) -> Connection {
        let mut connection = self.connect();
        connection.write(format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n"));
        connection
    }

    /// Sends a request that stops at the gate `name`, and waits until it does: in which process.
    pub(crate) fn hold(&self, name: &str) -> (Connection, i32) {
        let connection = self.send(&run(name, "here,gate"));
        (connection, self.wait_mark(name))
    }

    /// Waits until a request `name` has come by its mark: in which process.
    pub(crate) fn wait_mark(&self, name: &str) -> i32 {
        self.wait_for(&format!("the mark {name}"), || !self.gates.marks(name).is_empty());
        self.gates.marks(name)[0]
    }

    /// Returns the process that answers a request.
    pub(crate) fn pid_of_answer(&self) -> i32 {
        pid(&self.get(&run("any", "")))
    }

    pub(crate) fn kill(&self, pid: i32) {
        self.signal(pid, Signal::KILL);
    }

    pub(crate) fn wait_gone(&self, pids: &[i32]) {
        self.wait_for(&format!("the end of {pids:?}"), || {
            !pids.iter().any(|&pid| proc::is_alive(pid))
        });
    }

    /// Returns the requests that hold or want a thread, by httpd's own page. No process of the
    /// group has to answer for that.
    pub(crate) fn running(&self) -> u64 {
        self.figure("app", "Running")
    }

    /// Returns a figure of a group on httpd's page for programs.
    pub(crate) fn figure(&self, group: &str, name: &str) -> u64 {
        let status = self.get("/server-status?auto");
        let line = format!("RustGroup[{group}]{name}: ");
        let value = status.text().lines().find_map(|found| found.strip_prefix(&line));
        value.unwrap_or_else(|| panic!("{line}: {status:?}")).parse().expect("a number")
    }

    /// Returns the number of ErrorLog lines with `text` so far.
    pub(crate) fn lines(&self, text: &str) -> usize {
        self.error_log().lines().filter(|line| line.contains(text)).count()
    }
}

/// The process id that a response of the stage has as its body.
#[track_caller]
pub(crate) fn pid(response: &Response) -> i32 {
    assert_eq!(response.status, 200, "{response:?}");
    response.text().trim().parse().unwrap_or_else(|error| panic!("{error}: {response:?}"))
}
