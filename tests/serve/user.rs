//! Root's master, and what the workers' user puts in its way.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt, chown, lchown, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::client;
use crate::program::{Folder, Program, Signal, put_program, stage};

/// The user of the workers, and of the folder that they may write to.
const USER: &str = "nobody";

/// A program that everybody may run, a folder of the user's, and a file of root's.
struct Surroundings {
    folder: Folder,
    user: u32,
}

impl Surroundings {
    /// Makes them; `None` without root, which alone can become another user.
    fn make() -> Option<Self> {
        if std::fs::metadata("/proc/self").unwrap().uid() != 0 {
            return None;
        }
        let output = Command::new("id").args(["-u", USER]).output().unwrap();
        let user: u32 = String::from_utf8(output.stdout).unwrap().trim().parse().unwrap();
        let folder = Folder::new();
        std::fs::set_permissions(folder.path(""), PermissionsExt::from_mode(0o755)).unwrap();
        put_program(&folder.path("stage"), &std::fs::read(stage()).unwrap());
        std::fs::create_dir(folder.path("own")).unwrap();
        chown(folder.path("own"), Some(user), Some(user)).unwrap();
        std::fs::create_dir(folder.path("victims")).unwrap();
        std::fs::write(folder.path("victim"), "root's").unwrap();
        std::fs::set_permissions(folder.path("victim"), PermissionsExt::from_mode(0o600)).unwrap();
        Some(Self { folder, user })
    }

    /// Puts a link of the user's to `target` at `name`.
    fn plant(&self, name: &str, target: &str) {
        let path = self.folder.path(name);
        symlink(self.folder.path(target), &path).unwrap();
        lchown(&path, Some(self.user), Some(self.user)).unwrap();
    }

    fn program(&self, arguments: &[&str]) -> Program {
        let mut command = Command::new(self.folder.path("stage"));
        command.args(["--user", USER]).args(arguments).stdin(Stdio::null());
        Program::run(command)
    }

    /// Holds root's file and folder to what they were.
    #[track_caller]
    fn check(&self, case: &str) {
        let victim = self.folder.path("victim");
        let metadata = std::fs::symlink_metadata(&victim).unwrap();
        assert_eq!((metadata.uid(), metadata.mode() & 0o777), (0, 0o600), "{case}");
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "root's", "{case}");
        let victims = std::fs::read_dir(self.folder.path("victims")).unwrap();
        assert_eq!(victims.count(), 0, "{case}");
    }
}

#[test]
fn root_follows_no_link_of_the_user() {
    let Some(around) = Surroundings::make() else { return };
    around.plant("own/link", "victim");
    around.plant("own/folder", "victims");
    std::fs::hard_link(around.folder.path("victim"), around.folder.path("own/second")).unwrap();
    let (link, second) = (around.folder.text("own/link"), around.folder.text("own/second"));
    let inside = around.folder.text("own/folder/file");
    let socket = around.folder.text("x.sock");
    for (arguments, expected) in [
        (&["--scgi", &*socket, "--log", &*link][..], "symbolic link \"link\": it is of user #"),
        (&["--scgi", &socket, "--access-log", &link], "symbolic link \"link\": it is of user #"),
        (&["--scgi", &socket, "--log", &second], "another name"),
        (&["--scgi", &socket, "--log", &inside], "symbolic link \"folder\": it is of user #"),
        (&["--scgi", &socket, "--pid-file", &link], "symbolic link \"link\": it is of user #"),
        (&["--scgi", &socket, "--pid-file", &inside], "symbolic link \"folder\": it is of user #"),
        (&["--scgi", &link, "--socket-mode", "0666"], "symbolic link \"link\": it is of user #"),
        (&["--scgi", &inside], "symbolic link \"folder\": it is of user #"),
    ] {
        let ended = around.program(arguments).end();
        let case = format!("{arguments:?}: {}", ended.stderr);
        assert_eq!(ended.status.code(), Some(1), "{case}");
        assert!(ended.stderr.contains(expected), "{case}");
        around.check(&case);
    }
}

#[test]
fn root_hands_opened_logs_to_its_workers() {
    let Some(around) = Surroundings::make() else { return };
    let log = around.folder.path("own/access");
    let socket = around.folder.text("own/x.sock");
    let (access, pid_file) = (around.folder.text("own/access"), around.folder.text("own/pid"));
    let mut program = around.program(&[
        "--scgi",
        &socket,
        "--socket-mode",
        "0600",
        "--access-log",
        &access,
        "--pid-file",
        &pid_file,
    ]);
    program.wait_for("ready: ");
    let owner = |path: &Path| std::fs::symlink_metadata(path).unwrap().uid();
    assert_eq!(owner(&log), around.user);
    assert_eq!(owner(Path::new(&socket)), around.user);
    let text = |path: &Path| std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(text(Path::new(&pid_file)), format!("{}\n", program.pid()));
    assert_eq!(client::get(&socket, "/pid").unwrap().status, 200);
    // The user moves the log away, and leaves a link in its place.
    let moved = around.folder.path("own/access.1");
    std::fs::rename(&log, &moved).unwrap();
    around.plant("own/access", "victim");
    program.signal(Signal::USR1);
    let line = program.wait_for("RUST0074");
    assert!(line.contains("--access-log cannot be opened anew: symbolic link"), "{line}");
    around.check(&line);
    assert_eq!(client::get(&socket, "/echo?old").unwrap().status, 200);
    assert!(text(&moved).contains("GET /echo?old "), "{}", text(&moved));
    // A folder that the workers may not write to is no hindrance.
    std::fs::remove_file(&log).unwrap();
    chown(around.folder.path("own"), Some(0), Some(0)).unwrap();
    program.signal(Signal::USR1);
    while !text(&log).contains("GET /echo?new ") {
        assert_eq!(client::get(&socket, "/echo?new").unwrap().status, 200);
    }
    program.stop();
    assert!(!Path::new(&socket).exists() && !Path::new(&pid_file).exists());
}
