//! A gateway in threads of a program that has other things to do.

use std::io;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::thread::{self, JoinHandle};

use super::address::Address;
use super::config::ProgramConfig;
use super::gateway::Gateway;
use super::listen::Bound;
use super::logs::Logs;
use super::process::{self, Supervisor};
use super::{applications, command, descriptors};
use crate::gateway::logger::ServerLog as _;
use crate::gateway::{Code, Error, Level, Result, ending, panic};
use crate::os::Event;
use crate::server::site::{Mounts, ThreadLog};

/// A gateway that serves in threads of this process, made by [`Gateway::start`]. Dropping it begins
/// the shutdown.
///
/// ```no_run
/// # use mod_rust::{Factory, Gateway};
/// # fn serve(factory: Factory) -> mod_rust::Result<()> {
/// let server = Gateway::new("shop", env!("CARGO_PKG_VERSION"))
///     .application("shop", factory)
///     .listen("http", "127.0.0.1:0")
///     .set("threads", "4")
///     .start()?;
/// println!("http://{}/", server.addresses()[0]);
/// // Another thread may end it.
/// server.shutdown();
/// server.wait()
/// # }
/// ```
#[derive(Debug)]
pub struct GatewayServer {
    addresses: Vec<String>,
    stop: Event,
    thread: Mutex<Option<JoinHandle<io::Result<()>>>>,
}

impl Gateway {
    /// Builds the applications, listens, and serves in threads of this process: without a master,
    /// signals, or a restart. It reads neither the command line nor `MOD_RUST_OPTIONS`; its options
    /// are those of [`Gateway::listen`], [`Gateway::set`] and [`Gateway::arguments`].
    ///
    /// # Errors
    ///
    /// Returns an error if an option is wrong or needs processes, an application cannot be built, or
    /// an address cannot be listened at.
    pub fn start(self) -> Result<GatewayServer> {
        let stop = Event::new().map_err(|error| Error::new(error.to_string()))?;
        let told = stop.try_clone().map_err(|error| Error::new(error.to_string()))?;
        let (sender, started) = channel();
        // The caller's thread may be one of a runtime, where a factory cannot wait for its own.
        let thread = thread::Builder::new()
            .name("mod_rust-serve".into())
            .spawn(move || serve(&self, &told, &sender))
            .map_err(|error| Error::new(format!("the server has no thread: {error}")))?;
        let addresses = started.recv().unwrap_or_else(|_| Err("the server panicked".into()));
        let addresses = addresses.map_err(Error::new)?;
        Ok(GatewayServer { addresses, stop, thread: Mutex::new(Some(thread)) })
    }
}

/// The addresses of a server, or the reason why it does not start.
type Started = std::result::Result<Vec<String>, String>;

/// Starts, reports that to `sender`, and serves until `stop` is rung.
fn serve(gateway: &Gateway, stop: &Event, sender: &Sender<Started>) -> io::Result<()> {
    let (config, logs, mounts, listeners) = match prepare(gateway) {
        Ok(prepared) => prepared,
        Err(error) => {
            let _ = sender.send(Err(error));
            return Ok(());
        }
    };
    let _ = sender.send(Ok(listeners.iter().map(|listener| listener.name.clone()).collect()));
    process::serve(&config, &logs, mounts, listeners, Supervisor::Program(stop))
}

fn prepare(
    gateway: &Gateway,
) -> std::result::Result<(ProgramConfig, Logs, Mounts, Vec<Bound>), String> {
    /// The hook stays for the life of the process.
    static HOOK: Once = Once::new();

    let words = gateway.words(vec![gateway.name.into()]);
    let mut config = command::parse(gateway, words, None).map_err(|error| {
        let text = error.to_string();
        text.strip_prefix("error: ").unwrap_or(&text).trim_end().to_owned()
    })?;
    check(&config)?;
    applications::check(gateway, &config)?;
    let logs = Logs::open(&config, Vec::new())?;
    if let Some(warning) = descriptors::fit(&mut config) {
        logs.log.line(Level::Warn, &Code::NoResources.line(warning));
    }
    HOOK.call_once(|| {
        let log = ThreadLog(Arc::clone(&logs.log));
        panic::install_hook(move |line| log.line(Level::Error, line));
    });
    ending::forget();
    let mounts = applications::build(gateway, &config)?;
    let bound = config.all_listeners().iter().map(|wanted| Bound::bind(wanted, &config));
    let listeners = bound.collect::<std::result::Result<Vec<_>, _>>()?;
    for Bound { protocol, name, .. } in &listeners {
        logs.log.line(Level::Info, &format!("listening: {} {name}", protocol.name()));
    }
    Ok((config, logs, mounts, listeners))
}

/// Refuses the options that need a process of their own.
fn check(config: &ProgramConfig) -> std::result::Result<(), String> {
    let of_programs = [
        ("workers", config.workers > 1),
        ("user", config.privileges.is_some()),
        ("pid-file", config.pid_file.is_some()),
        ("max-requests", config.requests.is_some()),
        ("memory-limit", config.memory.is_some()),
        ("cgi", config.cgi),
    ];
    if let Some((name, _)) = of_programs.iter().find(|(_, is_set)| *is_set) {
        return Err(format!("option \"{name}\": not for a server in threads; expected none"));
    }
    let listeners = config.all_listeners();
    if listeners.is_empty() {
        return Err("listeners: there are none; expected Gateway::listen".into());
    }
    // A running program may have opened another file under the number.
    match listeners.iter().find(|one| matches!(one.address, Address::Descriptor(_))) {
        Some(one) => Err(format!(
            "address \"{}\": not for a server in threads; expected an address to bind",
            one.address
        )),
        None => Ok(()),
    }
}

impl GatewayServer {
    /// Returns the addresses at which it listens, in the order fastcgi, scgi, uwsgi, http: with the
    /// port that the system chose, where it was to.
    #[must_use]
    pub fn addresses(&self) -> &[String] {
        &self.addresses
    }

    /// Begins the shutdown: no more connections are taken, and requests have `graceful-timeout` to
    /// finish. Any thread may call it, also while another waits.
    pub fn shutdown(&self) {
        self.stop.ring();
    }

    /// Waits until the shutdown is over. Of several that wait, one gets the error.
    ///
    /// # Errors
    ///
    /// Returns an error if it could not serve any more.
    pub fn wait(&self) -> Result<()> {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = thread.take().map_or(Ok(Ok(())), JoinHandle::join);
        let served = ended.unwrap_or_else(|_| Err(io::Error::other("its thread panicked")));
        served.map_err(|error| Error::new(format!("the server ended: {error}")))
    }
}

impl Drop for GatewayServer {
    fn drop(&mut self) {
        self.shutdown();
    }
}
