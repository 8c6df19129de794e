//! The measured rounds: A B C, then C B A, each with a fresh server, so that a machine that grows
//! slower or faster treats all alike.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::account::Method;
use crate::endpoint::Endpoint;
use crate::load::Load;
use crate::machine;
use crate::peer::Product;
use crate::plan::Plan;
use crate::plan::Size;
use crate::results::{Run, Settings};
use crate::server::{Launch, Server, Tool};

/// A run that others disturbed is done again, so often.
const REPEATS: u32 = 2;

/// The parts that all runs share.
pub(crate) struct Rounds<'a> {
    pub(crate) plans: &'a [&'a Plan],
    pub(crate) endpoints: &'a [Endpoint],
    pub(crate) settings: &'a Settings,
    pub(crate) load: &'a Load,
    /// The size of httpd, if it is not by the connections of each endpoint.
    pub(crate) size: Option<Size>,
    pub(crate) method: &'a Method,
}

impl Rounds<'_> {
    /// Runs them all and says each result on standard output. A run that fails is an error.
    ///
    /// # Errors
    /// Fails when a peer, which was checked before, does not start or wrk does not run.
    pub(crate) fn run(&self) -> Result<Vec<Run>> {
        let mut runs = Vec::new();
        for round in 0..self.settings.rounds {
            for endpoint in self.endpoints {
                let mut plans: Vec<_> = self.plans.to_vec();
                if round % 2 == 1 {
                    plans.reverse();
                }
                for plan in plans.iter().filter(|p| p.peer.endpoints.contains(endpoint)) {
                    let run = self.measure_quietly(round, plan, *endpoint).with_context(|| {
                        format!("{} {} in round {}", plan.peer.name, endpoint.name(), round + 1)
                    })?;
                    println!("{}", line(&run));
                    runs.push(run);
                }
            }
        }
        Ok(runs)
    }

    fn measure_quietly(&self, round: u32, plan: &Plan, endpoint: Endpoint) -> Result<Run> {
        let mut run = self.measure(round, plan, endpoint)?;
        for _ in 0..REPEATS {
            if run.counted {
                break;
            }
            run = self.measure(round, plan, endpoint)?;
        }
        Ok(run)
    }

    /// Measures one run of a fresh server, after a warm-up in which memory is sampled.
    fn measure(&self, round: u32, plan: &Plan, endpoint: Endpoint) -> Result<Run> {
        let settings = self.settings;
        let launch = Launch {
            method: self.method,
            tool: if settings.pinned { Tool::Pin(0) } else { Tool::None },
            size: self.size.unwrap_or(match endpoint.connections() {
                Some(256..) => Size::Many,
                Some(64..) => Size::Crowd,
                _ => Size::Usual,
            }),
            transport: endpoint.transport(),
            patience: Duration::from_secs(15),
        };
        let server = Server::start(plan, &launch)?;
        let mut pss_kib = server.pss_kib();
        let warm_up_s = settings.warm_up_s.max(plan.peer.warm_up_s);
        if settings.warm_up_s > 0 {
            self.load.run(server.load_port(), endpoint, warm_up_s, || {
                pss_kib = pss_kib.max(server.pss_kib());
            })?;
        }

        let behind = server.behind();
        let (behind_before, switches_before) = (behind.cpu().total, behind.switches());
        let (busy, before) = (machine::Load::now(), server.cpu());
        let figures = self.load.run(server.load_port(), endpoint, settings.duration_s, || ())?;
        let after = server.cpu();
        let behind_used = behind.cpu().total - behind_before;
        let switches = behind.switches().saturating_sub(switches_before);
        let used = after.total - before.total;
        let others = busy.others_since(used + figures.client_us);

        pss_kib = pss_kib.max(server.pss_kib());
        server.stop()?;
        let requests = figures.requests.max(1) as f64;
        // A CGI program is waited for by nobody, and so is missing in /proc.
        let whole = self.method.is_complete() || !plan.peer.products().contains(&Product::Cgi);
        let share = |us: u64| whole.then_some(us as f64 / requests);
        Ok(Run {
            round,
            peer: plan.peer.name,
            endpoint,
            rps: figures.requests as f64 / (figures.duration_us.max(1) as f64 / 1e6),
            cpu_us: share(used),
            user_us: share(after.user - before.user),
            system_us: share(after.system - before.system),
            behind_us: plan.backend.as_ref().and_then(|_| share(behind_used)),
            behind_switches: plan.backend.as_ref().map(|_| switches as f64 / requests),
            client_us: figures.client_us as f64 / requests,
            pss_mib: pss_kib as f64 / 1024.0,
            others,
            counted: settings.max_others.is_none_or(|most| others <= most),
            figures,
        })
    }
}

fn line(run: &Run) -> String {
    let cpu = run.cpu_us.map_or("     -".into(), |cpu| format!("{cpu:6.1}"));
    let mut line = format!(
        "round {} {:<12} {:<16} {:>7.0} req/s  CPU {cpu} us  p50 {:>5.2} ms  p99 {:>6.2} ms  {:>5.1} MiB",
        run.round + 1,
        run.endpoint.name(),
        run.peer,
        run.rps,
        run.figures.p50_us as f64 / 1000.0,
        run.figures.p99_us as f64 / 1000.0,
        run.pss_mib,
    );
    if let Some(behind_us) = run.behind_us {
        line.push_str(&format!("  application {behind_us:.1} us"));
    }
    if run.figures.errors() > 0 {
        line.push_str(&format!("  {} errors", run.figures.errors()));
    }
    if !run.counted {
        line.push_str(&format!("  not counted: others used {:.2} cores", run.others));
    }
    line
}
