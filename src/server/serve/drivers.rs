//! The drivers of a process: the engine of the byte-stream protocols, and HTTP beside it.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
#[cfg(any(feature = "fastcgi", feature = "http-server", feature = "scgi", feature = "uwsgi"))]
use std::thread;

use super::config::ProgramConfig;
use super::listen::Bound;
use crate::os::Event;
use crate::server::site::Site;

/// Drivers that run, each in its own thread.
#[derive(Debug)]
pub(super) struct Drivers {
    drains: Vec<Event>,
    /// Rung when one has ended.
    ended: Event,
    results: Receiver<io::Result<()>>,
    running: usize,
}

impl Drivers {
    /// Starts those that `listeners` need.
    ///
    /// # Errors
    ///
    /// Returns an error if the system has no threads or descriptors left.
    pub(super) fn start(
        site: &Arc<Site>,
        config: &ProgramConfig,
        listeners: Vec<Bound>,
    ) -> io::Result<Self> {
        let (sender, results) = channel();
        let mut drivers = Self { drains: Vec::new(), ended: Event::new()?, results, running: 0 };
        let (http, streams): (Vec<_>, Vec<_>) = listeners
            .into_iter()
            .partition(|listener| listener.protocol == crate::server::site::Mode::Http);
        drivers.start_engine(site, config, streams, &sender)?;
        drivers.start_http(site, config, http, &sender)?;
        Ok(drivers)
    }

    /// Has them take no more connections, and end when their requests have.
    pub(super) fn drain(&self) {
        self.drains.iter().for_each(Event::ring);
    }

    /// Becomes readable when a driver has ended.
    pub(super) const fn ended(&self) -> &Event {
        &self.ended
    }

    /// Whether all have ended. The error is the first's that failed.
    pub(super) fn are_over(&mut self) -> io::Result<bool> {
        self.ended.clear();
        while let Ok(result) = self.results.try_recv() {
            self.running -= 1;
            result?;
        }
        Ok(self.running == 0)
    }

    #[cfg(any(feature = "fastcgi", feature = "http-server", feature = "scgi", feature = "uwsgi"))]
    fn run(
        &mut self,
        name: &str,
        sender: &Sender<io::Result<()>>,
        driver: impl FnOnce(Event) -> io::Result<()> + Send + 'static,
    ) -> io::Result<()> {
        let drain = Event::new()?;
        self.drains.push(drain.try_clone()?);
        let (sender, ended) = (sender.clone(), self.ended.try_clone()?);
        thread::Builder::new().name(name.into()).spawn(move || {
            let result = crate::gateway::panic::catch(|| driver(drain));
            let result = result.unwrap_or_else(|panic| Err(io::Error::other(panic)));
            let _ = sender.send(result);
            ended.ring();
        })?;
        self.running += 1;
        Ok(())
    }

    #[cfg(any(feature = "fastcgi", feature = "scgi", feature = "uwsgi"))]
    #[cfg_attr(
        not(feature = "fastcgi"),
        expect(unused_variables, reason = "FCGI_WEB_SERVER_ADDRS is FastCGI's")
    )]
    fn start_engine(
        &mut self,
        site: &Arc<Site>,
        config: &ProgramConfig,
        listeners: Vec<Bound>,
        sender: &Sender<io::Result<()>>,
    ) -> io::Result<()> {
        use crate::server::site::Mode;
        use crate::server::stream::{self, AnyProtocol, StreamListener};

        let listeners: Vec<_> = listeners
            .into_iter()
            .filter_map(|bound| {
                let (protocol, allowed) = match bound.protocol {
                    #[cfg(feature = "fastcgi")]
                    Mode::FastCgi => (
                        &crate::server::fastcgi::FastCgi as AnyProtocol,
                        config.web_servers.clone(),
                    ),
                    #[cfg(feature = "scgi")]
                    Mode::Scgi => (&crate::server::scgi::Scgi as AnyProtocol, Vec::new()),
                    #[cfg(feature = "uwsgi")]
                    Mode::Uwsgi => (&crate::server::uwsgi::Uwsgi as AnyProtocol, Vec::new()),
                    _ => return None,
                };
                Some(StreamListener { socket: bound.socket, protocol, name: bound.name, allowed })
            })
            .collect();
        if listeners.is_empty() {
            return Ok(());
        }
        let site = Arc::clone(site);
        self.run("mod_rust-engine", sender, move |drain| stream::run(site, listeners, drain))
    }

    #[cfg(not(any(feature = "fastcgi", feature = "scgi", feature = "uwsgi")))]
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "as with the protocols")]
    fn start_engine(
        &mut self,
        _site: &Arc<Site>,
        _config: &ProgramConfig,
        _listeners: Vec<Bound>,
        _sender: &Sender<io::Result<()>>,
    ) -> io::Result<()> {
        Ok(())
    }

    #[cfg(feature = "http-server")]
    fn start_http(
        &mut self,
        site: &Arc<Site>,
        config: &ProgramConfig,
        listeners: Vec<Bound>,
        sender: &Sender<io::Result<()>>,
    ) -> io::Result<()> {
        use crate::server::http::{self, HttpListener};

        if listeners.is_empty() {
            return Ok(());
        }
        let listeners = listeners
            .into_iter()
            .map(|bound| HttpListener { socket: bound.socket, name: bound.name })
            .collect();
        let (site, options) = (Arc::clone(site), config.http.clone());
        self.run("mod_rust-http", sender, move |drain| http::run(site, listeners, options, &drain))
    }

    #[cfg(not(feature = "http-server"))]
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "as with the protocol")]
    fn start_http(
        &mut self,
        _site: &Arc<Site>,
        _config: &ProgramConfig,
        _listeners: Vec<Bound>,
        _sender: &Sender<io::Result<()>>,
    ) -> io::Result<()> {
        Ok(())
    }
}
