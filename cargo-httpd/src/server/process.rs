//! httpd's process: started in the foreground in a process group of its own, so that Ctrl-C reaches
//! this tool alone, which then stops httpd in good order.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::cargo;
use crate::events::{Event, Events, Interrupted};
use crate::progress::say;

/// The time that httpd may take to begin, and to stop.
const PATIENCE: Duration = Duration::from_secs(30);
/// The pause between two looks at whether httpd listens.
const GLANCE: Duration = Duration::from_millis(20);

/// A running httpd. Dropping it stops it.
pub(crate) struct Server {
    child: Child,
    port: u16,
    /// One message from each thread that copies httpd's output, when there will be no more.
    copied: Receiver<()>,
}

impl Server {
    /// Starts `httpd`, a call with its configuration file, and waits until it takes connections on
    /// `port`.
    ///
    /// # Errors
    /// Fails when it ends before that, and its own messages have then gone to the terminal; and at
    /// [`Event::Stop`], and nothing runs then.
    pub(crate) fn start(mut httpd: Command, port: u16, events: &Events) -> Result<Self> {
        let mut child = httpd
            .arg("-DFOREGROUND")
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("`{}` does not start", cargo::shown(&httpd)))?;
        let (done, copied) = mpsc::channel();
        if let Some(from) = child.stdout.take() {
            copy(from, io::stdout, done.clone())?;
        }
        if let Some(from) = child.stderr.take() {
            copy(from, io::stderr, done)?;
        }
        let mut server = Self { child, port, copied };
        server.wait_until_it_listens(events)?;
        Ok(server)
    }

    /// Returns the process id of httpd's parent.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns the exit status, if httpd has ended.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Asks for a graceful restart: configuration and modules are read again, and requests under
    /// way are served to their end by the old ones.
    pub(crate) fn restart_gracefully(&self) -> Result<()> {
        kill_process(self.pid(), Signal::USR1).context("httpd cannot be restarted")
    }

    /// Stops it and waits for its end: at once, or after `PATIENCE` by force.
    pub(crate) fn stop(&mut self) -> Result<()> {
        if self.ended()?.is_some() {
            return Ok(());
        }
        kill_process(self.pid(), Signal::TERM).context("httpd cannot be stopped")?;
        let deadline = Instant::now() + PATIENCE;
        while self.ended()?.is_none() {
            if Instant::now() > deadline {
                // The whole group: it holds httpd's children, and nobody else.
                kill_process_group(self.pid(), Signal::KILL).context("httpd cannot be killed")?;
                self.child.wait()?;
                break;
            }
            std::thread::park_timeout(GLANCE);
        }
        self.drain();
        Ok(())
    }

    /// Waits for what httpd wrote last to be on the terminal.
    fn drain(&self) {
        for _ in 0..2 {
            // A program that httpd left behind may hold the pipe: not longer than this.
            if self.copied.recv_timeout(Duration::from_secs(1)).is_err() {
                return;
            }
        }
    }

    fn wait_until_it_listens(&mut self, events: &Events) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        while TcpStream::connect(address).is_err() {
            if let Some(status) = self.ended()? {
                self.drain();
                bail!("httpd exited during its start ({status}); see its messages above");
            }
            if Instant::now() > deadline {
                bail!("httpd runs but does not listen on port {}; see its log above", self.port);
            }
            if let Some(Event::Stop(signal)) = events.next_before(Instant::now() + GLANCE) {
                bail!(Interrupted::new(signal, "while httpd started; it is stopped again"));
            }
        }
        Ok(())
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            say(&format!("warning: {error:#}"));
        }
    }
}

/// Has `httpd`, a call with its configuration file, read that without starting.
///
/// # Errors
/// With httpd's own words, if it refuses.
pub(crate) fn configtest(mut httpd: Command) -> Result<()> {
    let output = httpd
        .arg("-t")
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("`{}` does not run", cargo::shown(&httpd)))?;
    if output.status.success() {
        return Ok(());
    }
    bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
}

/// Copies a stream of httpd's to one of this process, as it comes.
fn copy<R, W>(mut from: R, to: fn() -> W, done: mpsc::Sender<()>) -> Result<()>
where
    R: Read + Send + 'static,
    W: Write + 'static,
{
    let run = move || {
        let mut buffer = [0; 8192];
        loop {
            match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => {
                    // A closed terminal must not stop httpd: go on reading.
                    let mut to = to();
                    let _ = to.write_all(&buffer[..count]).and_then(|()| to.flush());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        let _ = done.send(());
    };
    std::thread::Builder::new().name("log".into()).spawn(run)?;
    Ok(())
}
