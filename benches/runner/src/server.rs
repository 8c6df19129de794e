//! One peer, running: its backend and httpd, on ports of their own, in an account of their own.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::account::{self, Account, Cpu, Method};
use crate::client::{Client, request};
use crate::endpoint::{Endpoint, Transport};
use crate::peer::Backend;
use crate::plan::{Behind, Plan, Size};
use crate::sys;

/// Between two looks at something that has no descriptor to wait for.
const PAUSE: Duration = Duration::from_millis(10);
/// The role of the web server, in the names of files.
const FRONT: &str = "httpd";
/// httpd gives up when its port is taken; another one is tried then, so often.
const PORT_TRIES: u32 = 5;

/// The tool that a server's processes run under.
#[derive(Clone)]
pub(crate) enum Tool {
    /// Nothing.
    None,
    /// On one core.
    Pin(usize),
    /// valgrind's callgrind, with a file for each process in this folder.
    Callgrind(PathBuf),
    /// strace, with a summary for each program in this folder.
    Strace(PathBuf),
}

/// The settings of a server's start.
#[derive(Clone)]
pub(crate) struct Launch<'a> {
    /// The source of CPU time.
    pub(crate) method: &'a Method,
    /// The tool that the processes run under.
    pub(crate) tool: Tool,
    /// The size of httpd.
    pub(crate) size: Size,
    /// The way in which the requests come that are measured.
    pub(crate) transport: Transport,
    /// The time limit of a start or a stop.
    pub(crate) patience: Duration,
}

/// A running peer. Dropping it ends it.
pub(crate) struct Server {
    port: u16,
    /// That of the transport, where it is another than HTTP/1.1.
    secure: Option<(Transport, u16)>,
    httpd: u32,
    /// The web server's processes.
    account: Account,
    /// Those of the program behind it that is started here.
    behind: Account,
    children: Vec<Child>,
    run: PathBuf,
    patience: Duration,
}

impl Server {
    /// Starts the peer from scratch and waits for its first answer.
    ///
    /// # Errors
    /// Fails when a process ends or there is no answer in time. The error holds the end of the
    /// logs.
    pub(crate) fn start(plan: &Plan, launch: &Launch<'_>) -> Result<Self> {
        let mut tries = 1;
        loop {
            match Self::try_start(plan, launch) {
                // Somebody took the port between our look and httpd's bind.
                Err(error) if tries < PORT_TRIES && is_taken(&format!("{error:#}")) => {
                    tries += 1;
                }
                result => {
                    return result.with_context(|| format!("{} did not start", plan.peer.name));
                }
            }
        }
    }

    /// Returns the port of httpd.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Returns the port for the requests that are measured.
    pub(crate) fn load_port(&self) -> u16 {
        self.secure.map_or(self.port, |(_, port)| port)
    }

    /// Returns the web server's first process.
    pub(crate) fn httpd(&self) -> u32 {
        self.httpd
    }

    /// Returns the web server's processes that are there now.
    pub(crate) fn pids(&self) -> Vec<u32> {
        self.account.pids()
    }

    /// CPU time of all its processes so far.
    pub(crate) fn cpu(&self) -> Cpu {
        self.account.cpu() + self.behind.cpu()
    }

    /// Returns the part of the program behind the web server.
    pub(crate) fn behind(&self) -> &Account {
        &self.behind
    }

    /// Proportional set size of all processes, in KiB.
    pub(crate) fn pss_kib(&self) -> u64 {
        self.account.pss_kib() + self.behind.pss_kib()
    }

    /// Anonymous memory of all processes, in KiB.
    pub(crate) fn anonymous_kib(&self) -> u64 {
        self.account.anonymous_kib() + self.behind.anonymous_kib()
    }

    /// PSS of one of httpd's children, on average, in KiB; 0 without children.
    pub(crate) fn child_pss_kib(&self) -> u64 {
        let children = account::children(self.httpd);
        let sum: u64 = children.iter().copied().map(account::pss_kib).sum();
        sum / (children.len().max(1) as u64)
    }

    /// Returns the warnings and errors that its processes have logged so far.
    pub(crate) fn complaints(&self) -> Vec<String> {
        complaints(&self.run)
    }

    /// Ends every process and waits for the last one.
    ///
    /// # Errors
    /// Fails when a process had to be killed: then what it should have written may be missing.
    pub(crate) fn stop(mut self) -> Result<()> {
        if self.end() {
            Ok(())
        } else {
            bail!("a process did not end within {} s{}", self.patience.as_secs(), logs(&self.run))
        }
    }

    fn try_start(plan: &Plan, launch: &Launch<'_>) -> Result<Self> {
        match std::fs::remove_dir_all(&plan.run) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                bail!("cannot clear `{}`: {error}", plan.run.display())
            }
            _ => std::fs::create_dir_all(&plan.run)?,
        }
        let mut server = Self {
            port: free_port()?,
            secure: match launch.transport {
                Transport::Plain => None,
                transport => Some((transport, free_port()?)),
            },
            httpd: 0,
            account: Account::open(launch.method),
            behind: Account::open(launch.method),
            children: Vec::new(),
            run: plan.run.clone(),
            patience: launch.patience,
        };
        let backend = match &plan.backend {
            Some(behind) => Some(server.start_backend(behind, &launch.tool)?),
            None => None,
        };
        let Some(front) = &plan.front else {
            server.port = backend.as_deref().and_then(port_of).context("nothing listens")?;
            return Ok(server);
        };
        let conf = plan.run.join("server.conf");
        let text = plan.front_conf(server.port, server.secure, backend.as_deref(), launch.size);
        std::fs::write(&conf, text)?;
        let args = plan.front_args(&conf);
        let (pid, _) = server.spawn(front, &args, FRONT, Stdio::null(), &launch.tool)?;
        server.httpd = pid;
        server.await_answer(plan.peer.endpoints[0])?;
        Ok(server)
    }

    /// Starts a backend and returns its address, once it listens.
    fn start_backend(&mut self, behind: &Behind, tool: &Tool) -> Result<String> {
        let socket = self.run.join("backend.sock");
        let path = socket.display().to_string();
        let tcp = format!("127.0.0.1:{}", free_port()?);
        let listen = match behind.kind {
            Backend::AxumTcp => vec!["tcp:127.0.0.1:0".into()],
            Backend::AxumUnix => vec![format!("unix:{path}")],
            Backend::FcgiUnix | Backend::ScgiUnix | Backend::FastCgiCrate => vec![path.clone()],
            Backend::UwsgiUnix => vec!["--socket".into(), path.clone()],
            Backend::GatewayFastCgi => vec!["--fastcgi".into(), path.clone()],
            Backend::GatewayScgi => vec!["--scgi".into(), path.clone()],
            Backend::GatewayUwsgi => vec!["--uwsgi".into(), path.clone()],
            Backend::GatewayHttp => vec!["--http".into(), path.clone()],
            Backend::GatewayHttpTcp => vec!["--http".into(), tcp.clone()],
            Backend::GatewayFastCgiTcp => vec!["--fastcgi".into(), tcp.clone()],
            Backend::OuterCgi => vec!["--bind".into(), path.clone()],
            // It stands in the configuration.
            Backend::PhpFpm => Vec::new(),
        };
        let args: Vec<_> = behind.args.iter().chain(&listen).map(OsString::from).collect();
        let is_silent = !matches!(
            behind.kind,
            Backend::AxumTcp
                | Backend::AxumUnix
                | Backend::FcgiUnix
                | Backend::ScgiUnix
                | Backend::FastCgiCrate
        );
        if is_silent {
            self.spawn(&behind.program, &args, "backend", Stdio::null(), tool)?;
            if matches!(behind.kind, Backend::GatewayHttpTcp | Backend::GatewayFastCgiTcp) {
                self.await_listener(&tcp, || TcpStream::connect(&tcp).map(drop))?;
                return Ok(tcp);
            }
            self.await_listener(&path, || UnixStream::connect(&socket).map(drop))?;
            return Ok(path);
        }
        // The others say their address once they listen.
        let (_, output) = self.spawn(&behind.program, &args, "backend", Stdio::piped(), tool)?;
        let mut address = String::new();
        if let Some(output) = output {
            BufReader::new(output).read_line(&mut address)?;
        }
        if address.is_empty() {
            bail!("`{}` does not listen{}", behind.program.display(), logs(&self.run));
        }
        Ok(address.trim_end().to_owned())
    }

    /// Tries until somebody listens: nothing says when.
    fn await_listener(
        &mut self,
        address: &str,
        connect: impl Fn() -> io::Result<()>,
    ) -> Result<()> {
        let deadline = Instant::now() + self.patience;
        loop {
            match connect() {
                Ok(()) => return Ok(()),
                Err(error) if Instant::now() > deadline => {
                    bail!("no backend at `{address}`: {error}{}", logs(&self.run))
                }
                Err(_) => {}
            }
            self.look_after_children()?;
            std::thread::sleep(PAUSE);
        }
    }

    fn look_after_children(&mut self) -> Result<()> {
        for child in &mut self.children {
            if let Some(status) = child.try_wait()? {
                bail!("a process ended with {status}{}", logs(&self.run));
            }
        }
        Ok(())
    }

    /// Starts a process, in the account from its first instruction on.
    fn spawn(
        &mut self,
        program: &Path,
        args: &[OsString],
        role: &str,
        stdout: Stdio,
        tool: &Tool,
    ) -> Result<(u32, Option<std::process::ChildStdout>)> {
        let mut argv = tool.argv(role);
        argv.push(program.into());
        argv.extend_from_slice(args);
        let account = if role == FRONT { &mut self.account } else { &mut self.behind };
        let mut command = match account.entrance() {
            Some(entrance) => {
                let mut shell = sys::command("sh");
                shell.args(["-c", "echo $$ > \"$0\" && exec \"$@\""]).arg(entrance).args(&argv);
                shell
            }
            None => {
                let mut command = sys::command(&argv[0]);
                command.args(&argv[1..]);
                command
            }
        };
        let log = File::options().create(true).append(true).open(self.run.join("stderr.log"))?;
        // A process group of its own: prefork's parent signals all of its group when it stops.
        command.process_group(0).current_dir(&self.run);
        command.stdin(Stdio::null()).stdout(stdout).stderr(log);
        command.env("PYTHONDONTWRITEBYTECODE", "1").env("PYTHONHASHSEED", "0");
        let mut child =
            command.spawn().with_context(|| format!("cannot start `{}`", program.display()))?;
        let (pid, output) = (child.id(), child.stdout.take());
        account.add(pid);
        self.children.push(child);
        Ok((pid, output))
    }

    /// Asks until httpd answers, as nothing says when its children are ready.
    fn await_answer(&mut self, endpoint: Endpoint) -> Result<()> {
        let deadline = Instant::now() + self.patience;
        let body = vec![b'a'; endpoint.post().unwrap_or(0)];
        let request = request(endpoint, "", "", &body);
        loop {
            self.look_after_children()?;
            let answer = Client::connect(self.port, self.patience)
                .and_then(|mut client| client.send(&request));
            match answer {
                Ok(response) if response.status == 200 => return Ok(()),
                Ok(response) => {
                    bail!("{} gives {}{}", endpoint.path(), response.status, logs(&self.run))
                }
                Err(error) if Instant::now() > deadline => {
                    bail!("no answer in time: {error}{}", logs(&self.run))
                }
                Err(_) => std::thread::sleep(PAUSE),
            }
        }
    }

    /// True if every process ended when asked to.
    fn end(&mut self) -> bool {
        let mut clean = true;
        // httpd before its backend.
        for child in self.children.iter_mut().rev() {
            if let Ok(None) = child.try_wait() {
                sys::terminate(child);
            }
            let deadline = Instant::now() + self.patience;
            while let Ok(None) = child.try_wait() {
                if Instant::now() > deadline {
                    clean = false;
                    sys::kill_group(child);
                    // Nothing survives that signal; the wait is short.
                    let _ = child.wait();
                    break;
                }
                std::thread::sleep(PAUSE);
            }
        }
        self.children.clear();
        let deadline = Instant::now() + self.patience;
        loop {
            let left = [self.account.pids(), self.behind.pids()].concat();
            if left.is_empty() {
                return clean;
            }
            if Instant::now() > deadline {
                // Only what stands in this peer's own account.
                left.into_iter().for_each(sys::kill);
                return false;
            }
            std::thread::sleep(PAUSE);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

impl Tool {
    /// Returns the words before the program on its command line.
    fn argv(&self, role: &str) -> Vec<OsString> {
        match self {
            Self::None => Vec::new(),
            Self::Pin(core) => {
                ["taskset".into(), "-c".into(), core.to_string().into()].into_iter().collect()
            }
            Self::Callgrind(folder) => {
                let mut file = OsString::from("--callgrind-out-file=");
                file.push(folder.join(format!("callgrind.{role}.%p")));
                ["valgrind", "-q", "--tool=callgrind", "--trace-children=yes"]
                    .into_iter()
                    .map(OsString::from)
                    .chain([file])
                    .collect()
            }
            Self::Strace(folder) => {
                // -D: the program keeps its id, and strace watches from outside.
                let file = folder.join(format!("strace.{role}"));
                ["strace", "-D", "-f", "-c", "-o"]
                    .into_iter()
                    .map(OsString::from)
                    .chain([file.into()])
                    .collect()
            }
        }
    }
}

/// Whether a log says that a port is in use: httpd's, or nginx's.
fn is_taken(log: &str) -> bool {
    log.contains("AH00072") || log.contains("98: Address already in use")
}

/// Returns the port of an address.
fn port_of(address: &str) -> Option<u16> {
    address.rsplit(':').next()?.parse().ok()
}

fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.port())
}

/// Returns the lines of the logs that are warnings or errors.
fn complaints(run: &Path) -> Vec<String> {
    const LEVELS: [&str; 5] = [":warn]", ":error]", ":crit]", "[warn]", "[error]"];
    let texts = ["stderr.log", "error.log"]
        .map(|name| std::fs::read_to_string(run.join(name)).unwrap_or_default());
    let lines = texts.iter().flat_map(|text| text.lines());
    lines.filter(|line| LEVELS.iter().any(|l| line.contains(l))).map(str::to_owned).collect()
}

/// Returns the last lines of what the processes said, for an error.
fn logs(run: &Path) -> String {
    let mut text = format!("; see `{}`", run.display());
    for name in ["stderr.log", "error.log"] {
        let log = std::fs::read_to_string(run.join(name)).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        for line in &lines[lines.len().saturating_sub(5)..] {
            text.push_str("\n    ");
            text.push_str(line);
        }
    }
    text
}
