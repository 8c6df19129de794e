//! `cargo httpd run`

use std::collections::VecDeque;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail};
use clap::Args;

use super::Execute;
use super::serve::{ServeArgs, Site};
use crate::builder::{Builder, Building};
use crate::built_module::Built;
use crate::built_module::BuiltModule;
use crate::events::{Event, Events, Interrupted};
use crate::progress::{Progress, say, seconds};
use crate::project::Project;
use crate::server::{Parts, Server, ServerRoot, configtest, loopback, short};
use crate::watch::{self, Watch};

/// Editors and formatters write several files at once: wait for this much silence.
const QUIET: Duration = Duration::from_millis(100);

/// Build the module and serve its applications with httpd, in the foreground.
///
/// The logs go to the terminal, and Ctrl-C stops. The module is the cdylib of the package in the
/// current folder, or the only one in the workspace; the file apache/httpd.conf or httpd.conf in
/// its package mounts the applications.
#[derive(Args, Debug)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) serve: ServeArgs,
    /// Build again and restart gracefully when a source file changes.
    #[arg(long)]
    pub(crate) watch: bool,
}

impl Execute for RunArgs {
    fn execute(self, yes: bool) -> Result<()> {
        let progress = Progress::new(3);
        let project = Project::load()?;
        let port = loopback::free_port(self.serve.port)
            .map_err(|refused| earlier_run(&project, self.serve.port).unwrap_or(refused))?;
        let site = self.serve.prepare(&project, port, yes, &progress)?;
        let events = Events::listen()?;

        let builder = Builder::new(site.selection, self.serve.debug, &self.serve.cargo);
        let begun = SystemTime::now();
        let step = progress.hand_over(&format!("Building: {}", builder.shown()));
        let built = first_build(&builder, &events)?;
        step.done(&format!("Built {}", short(&built.module.path).display()));

        let step = progress.hand_over("Starting httpd");
        let root = ServerRoot::create(site.server_root.clone(), site.httpd.modules_dir())?;
        configure(&site, &root, &built.module)?;
        let httpd = site.call(&root.conf_file());
        let server = Server::start(httpd, site.port, &events)?;
        step.done(&format!("httpd runs as process {}", server.id()));
        say(&format!(
            "Serving http://localhost:{}{} with {}, {} MPM, {}{}. Ctrl-C stops.",
            site.port,
            site.path(),
            site.httpd.server_string(),
            self.serve.mpm,
            short(&built.module.path).display(),
            site.group().map(|name| format!(" in process group {name}")).unwrap_or_default(),
        ));

        let mut serving = Serving {
            site: &site,
            root: &root,
            builder,
            server,
            events,
            watch: None,
            project: &project,
        };
        if self.watch {
            serving.watch = Some(Watch::new(serving.events.sender())?);
            serving.follow(&built, begun)?;
        }
        serving.until_stopped()
    }
}

/// A server that runs, and what may happen to it.
struct Serving<'a> {
    site: &'a Site<'a>,
    root: &'a ServerRoot,
    builder: Builder,
    server: Server,
    events: Events,
    watch: Option<Watch>,
    project: &'a Project,
}

impl Serving<'_> {
    fn until_stopped(&mut self) -> Result<()> {
        let mut building: Option<(Building, Instant, SystemTime)> = None;
        let mut changed_meanwhile = false;
        let mut waiting = VecDeque::new();
        loop {
            let event = match waiting.pop_front() {
                Some(event) => event,
                None => self.events.next()?,
            };
            match event {
                Event::Stop(_) => {
                    drop(building);
                    say("Stopping httpd");
                    return self.server.stop();
                }
                Event::Child => {
                    if let Some(status) = self.server.ended()? {
                        bail!("httpd ended by itself ({status}); its log stands above");
                    }
                }
                Event::Changed if building.is_some() => changed_meanwhile = true,
                Event::Changed => {
                    waiting.extend(self.events.settle(QUIET));
                    say(&format!("A source file changed: {}", self.builder.shown()));
                    let begun = SystemTime::now();
                    let started = self.builder.start(self.events.sender())?;
                    building = Some((started, Instant::now(), begun));
                }
                Event::Built(built) => {
                    if let Some((_, clock, begun)) = building.take() {
                        self.replace(built, clock, begun);
                    }
                    if std::mem::take(&mut changed_meanwhile) {
                        waiting.push_back(Event::Changed);
                    }
                }
            }
        }
    }

    /// Puts a new build into force, or says why the old one goes on.
    fn replace(&mut self, built: Result<Built>, clock: Instant, begun: SystemTime) {
        let result = built.and_then(|built| {
            self.follow(&built, begun)?;
            configure(self.site, self.root, &built.module)?;
            self.server.restart_gracefully()
        });
        match result {
            Ok(()) => {
                let time = seconds(clock.elapsed());
                say(&format!("Rebuilt and restarted gracefully ({time})"));
            }
            Err(error) => say(&format!("error: {error:#}\nThe old module goes on serving")),
        }
    }

    fn follow(&mut self, built: &Built, begun: SystemTime) -> Result<()> {
        let Some(watch) = &mut self.watch else { return Ok(()) };
        let mut files = watch::sources(&built.dep_info, &self.project.target_dir)?;
        files.insert(self.site.application_conf.clone());
        files.extend(self.site.extra_conf.clone());
        watch.follow(files, begun)
    }
}

/// Returns a better message for a port in use, if one of these servers uses it.
fn earlier_run(project: &Project, port: u16) -> Option<anyhow::Error> {
    let pid = ServerRoot::running(&project.target_dir, port)?;
    Some(anyhow::anyhow!(
        "port {port}: in use by another `cargo httpd run`, with httpd as process {pid}; stop it, or \
         choose another port with --port"
    ))
}

/// Builds, with an eye on the signals: one of them ends the build.
fn first_build(builder: &Builder, events: &Events) -> Result<Built> {
    let _building = builder.start(events.sender())?;
    loop {
        match events.next()? {
            Event::Stop(signal) => bail!(Interrupted::new(
                signal,
                "during the build; nothing was started, and the next build goes on from here"
            )),
            Event::Built(built) => return built,
            Event::Child | Event::Changed => {}
        }
    }
}

/// Writes httpd.conf for `module` and the configuration files as they are now, once httpd has
/// accepted it: a running httpd that restarts with one that it refuses ends.
fn configure(site: &Site<'_>, root: &ServerRoot, module: &BuiltModule) -> Result<()> {
    let originals = site.parts(module);
    let parts = root.stage(&originals)?;
    let draft = root.path().join("conf/httpd.conf.new");
    std::fs::write(&draft, site.conf(&parts)?).context("httpd.conf cannot be written")?;
    if let Err(said) = configtest(site.call(&draft)) {
        bail!(
            "httpd refuses the configuration: {}",
            naming_originals(&said.to_string(), &originals, &parts)
        );
    }
    std::fs::rename(&draft, root.conf_file()).context("httpd.conf cannot be written")
}

/// httpd speaks of the copies; the user knows the files that they were made from.
fn naming_originals(said: &str, originals: &Parts, parts: &Parts) -> String {
    let name = |path: &Path| path.display().to_string();
    let mut said = said
        .replace(&name(&parts.application_conf), &name(&originals.application_conf))
        .replace(&name(&parts.module.path), &name(&originals.module.path));
    if let (Some(copy), Some(original)) = (&parts.extra_conf, &originals.extra_conf) {
        said = said.replace(&name(copy), &name(original));
    }
    said
}
