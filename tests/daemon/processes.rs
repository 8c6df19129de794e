//! Tests the properties of a group's processes in /proc, and the permission to connect to them.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::process::Command;

use httpd_testkit::{mpm_tests, proc};

use crate::support::{Stage, pid, run, setup};

/// Returns whether this is root. Only root can change a process's user and read other processes'
/// descriptors.
pub(crate) fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// Returns the ids of an account, as `id` prints them.
fn id(option: &str, user: &str) -> String {
    let output = Command::new("id").args([option, user]).output().expect("the program id");
    String::from_utf8(output.stdout).expect("numbers").trim().to_owned()
}

/// Returns the process's own view of `/proc/self/<file>`.
fn own(stage: &Stage, file: &str) -> String {
    stage.get(&format!("/stage/proc?file={file}")).text().to_owned()
}

fn own_status(stage: &Stage, field: &str) -> String {
    let status = own(stage, "status");
    let line = status.lines().find_map(|line| line.strip_prefix(&format!("{field}:")));
    line.unwrap_or_else(|| panic!("{field}: {status}")).trim().to_owned()
}

/// Returns real, effective, saved and file system id, all the same.
fn four(id: &str) -> String {
    [id; 4].join("\t")
}

mpm_tests! {
    fn a_process_has_what_it_needs_and_no_more(mpm) {
        let stage = setup("processes=2 threads=3")
            .mpm(mpm)
            .probe("threads=1")
            .with(|builder| builder.conf(
                "<VirtualHost *:{port}>\nServerName other\nErrorLog {root}/other_log\n\
                 CustomLog {root}/other_access \"%h\"\n</VirtualHost>"
            ))
            .start();
        let pids = stage.app().wait_ready(2);
        stage.group("probe").wait_ready(1);
        let fds = stage.get("/stage/fds").text().to_owned();
        let targets: Vec<_> = fds.lines().map(|line| line.splitn(3, ' ').collect::<Vec<_>>()).collect();
        for fd in &targets {
            let [number, closes, target] = fd[..] else { panic!("{fds}") };
            let number: i32 = number.parse().unwrap();
            // Standard input is nothing, the others are the main ErrorLog; no other host's is there.
            match number {
                0 => assert_eq!(target, "/dev/null", "{fds}"),
                1 | 2 => assert!(
                    target == "/dev/null" || target.ends_with("/error_log") || target.ends_with("/console"),
                    "{fds}"
                ),
                _ => {
                    assert_eq!(closes, "closes", "{fds}");
                    assert!(!target.contains("_log") && !target.contains("other_access"), "{fds}");
                }
            }
        }
        // Listening: the one socket of its slot, and nothing over TCP.
        let inodes: BTreeSet<_> =
            targets.iter().filter_map(|fd| fd[2].strip_prefix("socket:[")?.strip_suffix(']')).collect();
        let tcp = own(&stage, "net/tcp");
        for line in tcp.lines().skip(1) {
            let fields: Vec<_> = line.split_whitespace().collect();
            assert!(!inodes.contains(fields[9]), "a TCP socket is open: {line}\n{fds}");
        }
        let unix = own(&stage, "net/unix");
        let listening: Vec<_> = unix
            .lines()
            .skip(1)
            .map(|line| line.split_whitespace().collect::<Vec<_>>())
            // Flags with 10000 mean that it listens.
            .filter(|fields| fields[3] == "00010000" && inodes.contains(fields[6]))
            .collect();
        assert_eq!(listening.len(), 1, "{listening:?}\n{fds}");
        assert!(listening[0][7].contains(".app."), "{listening:?}");

        for &pid in &pids {
            // A program that an application starts inherits what is blocked and ignored.
            for task in std::fs::read_dir(format!("/proc/{pid}/task")).unwrap() {
                let status = std::fs::read_to_string(task.unwrap().path().join("status")).unwrap();
                for state in ["SigBlk:", "SigIgn:"] {
                    let mask = status.lines().find_map(|line| line.strip_prefix(state)).unwrap();
                    let mask = u64::from_str_radix(mask.trim(), 16).unwrap();
                    // HUP, INT, USR1, USR2, PIPE, TERM, CHLD, XCPU. The C library has some of its own.
                    for signal in [1, 2, 10, 12, 13, 15, 17, 24] {
                        assert_eq!(mask & 1 << (signal - 1), 0, "{signal}, {state} in {status}");
                    }
                }
            }
            assert_eq!(proc::title(pid).unwrap(), "(rust:app)");
            // Its own timer and three workers; those of the application's runtime are its business.
            assert!(proc::threads(pid).unwrap() >= 4);
            // Of httpd's session, and no signal to httpd's process group reaches it: it would end
            // before the children that have requests for it.
            assert_eq!(proc::group_and_session(pid).unwrap(), (pid, stage.pid()));
        }
        assert_eq!(proc::threads(stage.pid()).unwrap(), 1, "httpd's parent has one thread");
        if is_root() {
            let user = id("-nu", own_status(&stage, "Uid").split('\t').next().unwrap());
            assert_ne!(user, "root");
            assert_eq!(own_status(&stage, "Uid"), four(&id("-u", &user)));
            assert_eq!(own_status(&stage, "Gid"), four(&id("-g", &user)));
            assert_eq!(own_status(&stage, "CapEff"), "0000000000000000");
            assert_eq!(own_status(&stage, "CapPrm"), "0000000000000000");
            for (_, path) in stage.app().sockets() {
                let metadata = std::fs::metadata(&path).unwrap();
                assert_eq!(metadata.permissions().mode() & 0o777, 0o600, "{path:?}");
                assert_eq!(metadata.uid().to_string(), id("-u", &user), "{path:?}");
            }
        }
    }
}

#[test]
fn another_user_and_its_environment() {
    if !is_root() {
        return;
    }
    let stage = setup(
        "threads=2 user=daemon group=bin supplementary-groups=mail,news umask=0027 home=/usr \
         cpu-priority=7 virtual-memory-limit=8G display-name=stage-here lang=C.UTF-8 \
         locale=C stack-size=1M",
    )
    .start();
    let process = stage.app().wait_ready(1)[0];
    assert_eq!(own_status(&stage, "Uid"), four(&id("-u", "daemon")));
    let group = |name: &str| {
        let output = Command::new("getent").args(["group", name]).output().unwrap();
        let line = String::from_utf8(output.stdout).unwrap();
        line.split(':').nth(2).expect("a group id").to_owned()
    };
    assert_eq!(own_status(&stage, "Gid"), four(&group("bin")));
    let groups: BTreeSet<_> =
        own_status(&stage, "Groups").split_whitespace().map(str::to_owned).collect();
    assert_eq!(groups, BTreeSet::from([group("mail"), group("news")]));
    assert_eq!(own_status(&stage, "Umask"), "0027");
    assert_eq!(own(&stage, "cwd"), "/usr");
    assert_eq!(own(&stage, "root"), "/");
    assert_eq!(proc::nice(process).unwrap(), 7);
    assert_eq!(proc::title(process).unwrap(), "stage-here");
    let limits = own(&stage, "limits");
    let limit = limits.lines().find(|line| line.starts_with("Max address space")).unwrap();
    assert!(limit.contains(&(8_u64 << 30).to_string()), "{limit}");
    assert_eq!(stage.get("/stage/var?name=LANG").text(), "C.UTF-8");
    assert_eq!(stage.get("/stage/var?name=LC_ALL").text(), "C");
    // httpd's children run as another user, and are let in.
    assert_eq!(pid(&stage.get(&run("any", ""))), process);
}

#[test]
fn a_user_without_a_home() {
    if !is_root() {
        return;
    }
    let stage = setup("threads=1 user=nobody").start();
    stage.app().wait_ready(1);
    assert_eq!(own_status(&stage, "Uid"), four(&id("-u", "nobody")));
    let home = Command::new("getent").args(["passwd", "nobody"]).output().unwrap();
    let home = String::from_utf8(home.stdout).unwrap();
    let home = home.split(':').nth(5).expect("a home");
    let is_there = std::fs::metadata(home).is_ok();
    assert_eq!(own(&stage, "cwd"), if is_there { home } else { "/" });
}

/// The process itself looks at its time, and is replaced: the system would kill it with its requests.
#[test]
fn no_limit_of_the_system_kills_for_cpu_time() {
    let stage = setup("threads=1 cpu-time-limit=5").start();
    let limits = own(&stage, "limits");
    let limit = limits.lines().find(|line| line.starts_with("Max cpu time")).unwrap();
    let fields: Vec<_> = limit.split_whitespace().skip(3).take(2).collect();
    let httpds = std::fs::read_to_string(format!("/proc/{}/limits", stage.pid())).unwrap();
    assert!(httpds.lines().any(|line| line == limit), "{fields:?}: not httpd's own");
}

#[test]
fn a_root_of_its_own() {
    if !is_root() {
        return;
    }
    // The stage's folder is in /tmp, which has no /proc.
    let stage = setup("threads=2 chroot=/tmp home=/");
    let folder = stage.folder();
    let inside = format!("/{}", folder.file_name().unwrap().to_str().unwrap());
    let stage = stage.inside(&inside).start();
    let process = stage.app().wait_ready(1)[0];
    assert_eq!(std::fs::read_link(format!("/proc/{process}/root")).unwrap().to_str(), Some("/tmp"));
    assert_eq!(stage.gates.built(), [process]);
    assert_eq!(pid(&stage.get(&run("any", "here"))), process);
    assert_eq!(stage.gates.marks("any"), [process]);
}

#[test]
fn another_user_does_not_get_as_far_as_the_socket() {
    if !is_root() {
        return;
    }
    let stage = setup("threads=2")
        .with(|builder| {
            builder.conf(
                "RustDaemonProcess other threads=1 user=daemon\n\
                 RustAppAlias /other stage process-group=other",
            )
        })
        .start();
    stage.app().wait_ready(1);
    stage.group("other").wait_ready(1);
    let connect = |mount: &str, group: &str| {
        let path = stage.group(group).sockets()[0].1.clone();
        stage.get(&format!("{mount}/connect?path={}", path.display())).text().to_owned()
    };
    for group in ["app", "other"] {
        assert_eq!(connect("/other", group), "permission denied");
    }
    // The applications of httpd's own user could: they do not know the token.
    assert_eq!(connect("/stage", "app"), "connected");
}

#[test]
fn strangers_are_refused() {
    let stage = setup("threads=2").allow(&["RUST0036"]).start();
    stage.app().wait_ready(1);
    // A peer may connect without the token: HELLO with a wrong one, before REQUEST.
    let slot =
        stage.app().processes().iter().find(|process| process.state == "ready").unwrap().slot;
    let path = stage.app().sockets().iter().find(|(number, _)| *number == slot).unwrap().1.clone();
    let mut stranger = UnixStream::connect(&path).unwrap();
    let mut hello = vec![28, 0, 0, 0, 1, 0, 0, 0];
    hello.extend_from_slice(b"mod_rust\x02\0\0\0");
    hello.extend_from_slice(&[7; 16]);
    stranger.write_all(&hello).unwrap();
    let mut answer = Vec::new();
    stranger.read_to_end(&mut answer).unwrap();
    // REFUSED is kind 25.
    assert_eq!(answer.get(4), Some(&25), "{answer:?}");
    let line = stage.wait_log("RUST0036");
    assert!(line.contains("token"), "{line}");
    stage.pid_of_answer();
}

#[test]
fn lines_go_to_the_log_of_the_requests_host() {
    let stage = setup("threads=2")
        .with(|builder| {
            builder.conf(
                "<VirtualHost *:{port}>\nServerName main\n</VirtualHost>\n\
                 <VirtualHost *:{port}>\nServerName one\nErrorLog {root}/one_log\n\
                 RustDaemonProcess own threads=1\n\
                 RustAppAlias /mine stage process-group=own\n</VirtualHost>\n\
                 <VirtualHost *:{port}>\nServerName two\nErrorLog {root}/two_log\n</VirtualHost>",
            )
        })
        .start();
    let shared = stage.app().wait_ready(1)[0];
    let own = stage.group("own").wait_ready(1)[0];
    let ask = |host: &str, path: &str, text: &str| {
        let mut connection = stage.connect();
        connection
            .write(format!("GET {path}/run?steps=log:{text} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        pid(&connection.read_response())
    };
    assert_eq!(ask("one", "/mine", "first"), own);
    assert_eq!(ask("one", "/stage", "second"), shared);
    assert_eq!(ask("two", "/stage", "third"), shared);
    assert_eq!(ask("main", "/stage", "fourth"), shared);
    let read = |file: &str| std::fs::read_to_string(stage.root().join(file)).unwrap();
    let said = |text: &str| {
        let text = format!("the stage says {text}");
        ["one_log", "two_log", "error_log"].map(|file| read(file).matches(&text).count())
    };
    assert_eq!(said("first"), [1, 0, 0]);
    assert_eq!(said("second"), [1, 0, 0]);
    assert_eq!(said("third"), [0, 1, 0]);
    assert_eq!(said("fourth"), [0, 0, 1]);
    // Another host's group is not its.
    let mut connection = stage.connect();
    connection.write("GET /mine/run HTTP/1.1\r\nHost: two\r\n\r\n");
    assert_eq!(connection.read_response().status, 404);
}

#[test]
fn a_group_grows_under_load() {
    let stage = setup("min-processes=1 max-processes=3 threads=1").start();
    stage.app().wait_ready(1);
    let mut held: Vec<_> = (0..3).map(|_| stage.send(&run("held", "here,gate"))).collect();
    let all = stage.app().wait_ready(3);
    // Requests in the queue of the first stay there; a new request finds a free process at once.
    assert!(all.contains(&stage.pid_of_answer()));
    stage.gates.open("held");
    for connection in &mut held {
        pid(&connection.read_response());
    }
}

#[test]
#[ignore = "a group shrinks when a process was one too many for a minute"]
fn a_group_shrinks_again() {
    let stage = setup("min-processes=1 max-processes=2 threads=1")
        .with(|builder| builder.patience(std::time::Duration::from_secs(100)))
        .start();
    let first = stage.app().wait_ready(1)[0];
    let (mut held, _) = stage.hold("held");
    stage.app().wait_ready(2);
    stage.gates.open("held");
    pid(&held.read_response());
    assert_eq!(stage.app().wait_ready(1), [first]);
    stage.wait_log("scale_down");
    assert_eq!(stage.pid_of_answer(), first);
}
