//! A project that refers to mod_rust in a git repository, built by the Containerfile of
//! docs/servers/systemd.md: its steps run one by one, in a folder for each stage.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::common::text;
use crate::made::{Made, base};

const KIT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
const NAME: &str = "container-shop";

#[track_caller]
fn succeed(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

fn git(folder: &Path, args: &[&str]) -> String {
    let who = ["-c", "user.name=Jo", "-c", "user.email=jo@example.org"];
    succeed(Command::new("git").args(who).args(args).current_dir(folder))
}

/// Makes a repository of this checkout as it is now, and returns its folder and its commit.
fn repository() -> (PathBuf, String) {
    let folder = base().join("kit.git");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    let files = git(Path::new(KIT), &["ls-files", "--cached", "--others", "--exclude-standard"]);
    let list = files.lines().filter(|file| Path::new(KIT).join(file).exists());
    let mut tar = Command::new("tar");
    tar.args(["--create", "--file", "kit.tar", "--directory", KIT]).args(list);
    succeed(tar.current_dir(&folder));
    succeed(Command::new("tar").args(["--extract", "--file", "kit.tar"]).current_dir(&folder));
    fs::remove_file(folder.join("kit.tar")).unwrap();
    git(&folder, &["init", "--quiet"]);
    git(&folder, &["add", "--all"]);
    git(&folder, &["commit", "--quiet", "--message", "As it is"]);
    let commit = git(&folder, &["rev-parse", "HEAD"]);
    (folder, commit.trim().to_owned())
}

/// The image under construction: a folder for each stage, and the settings of the last one.
struct Image {
    folder: PathBuf,
    /// Names of the stages, in order.
    stages: Vec<String>,
    work: String,
    entry: Vec<String>,
    args: Vec<String>,
}

impl Image {
    /// Runs the steps of a Containerfile, with `context` as the folder that COPY copies from.
    fn build(file: &str, context: &Path) -> Self {
        let folder = base().join("image");
        let _ = fs::remove_dir_all(&folder);
        let mut image = Self {
            folder,
            stages: Vec::new(),
            work: "/".to_owned(),
            entry: Vec::new(),
            args: Vec::new(),
        };
        for line in file.lines().filter(|line| !line.trim().is_empty()) {
            let (step, rest) = line.split_once(' ').unwrap();
            let words: Vec<_> = rest.split(' ').collect();
            match (step, &words[..]) {
                ("FROM", [_, "AS", name]) => image.begin(name),
                ("FROM", [_]) => image.begin("last"),
                ("WORKDIR", [place]) => image.work = (*place).to_owned(),
                ("COPY", [".", "."]) => {
                    let to = image.path(image.stages.last().unwrap(), &image.work);
                    fs::create_dir_all(&to).unwrap();
                    succeed(Command::new("cp").arg("-a").arg(context.join(".")).arg(to));
                }
                ("COPY", [from, file, place]) => {
                    let stage = from.strip_prefix("--from=").unwrap();
                    let to = image.path(image.stages.last().unwrap(), place);
                    fs::create_dir_all(to.parent().unwrap()).unwrap();
                    fs::copy(image.path(stage, file), to).unwrap();
                }
                ("RUN", _) => {
                    let mut shell = Command::new("sh");
                    shell.args(["-c", rest]);
                    let work = image.path(image.stages.last().unwrap(), &image.work);
                    succeed(quick(&mut shell).current_dir(work));
                }
                ("ENTRYPOINT", _) => image.entry = serde_json::from_str(rest).unwrap(),
                ("CMD", _) => image.args = serde_json::from_str(rest).unwrap(),
                ("USER" | "EXPOSE" | "STOPSIGNAL", [_]) => {}
                _ => panic!("a step of an unknown form: {line}"),
            }
        }
        image
    }

    fn begin(&mut self, stage: &str) {
        self.stages.push(stage.to_owned());
        "/".clone_into(&mut self.work);
    }

    fn path(&self, stage: &str, path: &str) -> PathBuf {
        self.folder.join(stage).join(path.trim_start_matches('/'))
    }

    /// Runs what the image runs, with a socket in place of the port, and speaks HTTP on another.
    fn run(&self, fastcgi: &str, http: &str) -> Running {
        let program = self.path(self.stages.last().unwrap(), &self.entry[0]);
        let args = self.args.iter().map(|arg| if arg == ":9000" { fastcgi } else { arg.as_str() });
        Running(Command::new(program).args(args).args(["--http", http]).spawn().unwrap())
    }
}

/// Spares the optimisation, which the test does not need.
fn quick(command: &mut Command) -> &mut Command {
    command
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")
        .env_remove("CARGO_TARGET_DIR")
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.0), Signal::TERM);
        let _ = self.0.wait();
    }
}

/// Returns the response of the HTTP server at `socket` to a GET below its mount.
fn get(socket: &Path) -> String {
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut connection = loop {
        match UnixStream::connect(socket) {
            Ok(connection) => break connection,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
    };
    let request =
        format!("GET /{NAME}/Jo HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn a_project_of_a_git_repository_is_built_in_a_container() {
    let (kit, commit) = repository();
    let url = format!("file://{}", kit.display());
    let project = Made::new(NAME, &["--git", &url, "--rev", &commit]);
    let manifest = fs::read_to_string(project.path().join("Cargo.toml")).unwrap();
    assert!(!manifest.contains(&format!("path = \"{KIT}")), "{manifest}");
    let wanted = format!("mod_rust = {{ git = \"{url}\", rev = \"{commit}\"");
    assert!(manifest.contains(&wanted), "{manifest}");
    assert!(project.path().join(".git").is_dir());

    let file = fs::read_to_string(format!("{KIT}/docs/servers/systemd/Containerfile")).unwrap();
    let file = file.replace("shop-gateway", &format!("{NAME}-gateway"));
    let image = Image::build(&file, project.path());
    let [fastcgi, http] = ["fastcgi", "http"].map(|name| image.folder.join(name));
    let running = image.run(fastcgi.to_str().unwrap(), http.to_str().unwrap());
    let answer = get(&http);
    assert!(fastcgi.exists(), "the program does not listen as the image says");
    assert!(answer.contains("Hello, Jo\n"), "{answer:?}");
    drop(running);
    fs::remove_dir_all(image.folder).unwrap();
    fs::remove_dir_all(kit).unwrap();
}
