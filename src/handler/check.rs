//! The configuration as a whole: every application that is named exists, and its options are what
//! it declares. What is wrong stops `apachectl configtest`, with its line.

use super::config::Choice;
use super::options::Chain;
use super::registry::{self, Scope, Use, UsePlace};
use super::selection::Selection;
use crate::gateway::{Code, Error};
use crate::httpd::{Pool, PoolRef, Server, mpm};

/// Returns the option lines that hold for a mount at `path` in a server: those outside of sections,
/// then those of the plain `<Location>`s around it, in their order.
pub(super) fn covering(
    pool: Pool<'_>,
    usual: Chain,
    servers: [usize; 2],
    sections: &[Scope],
    path: &str,
) -> Chain {
    sections
        .iter()
        .filter(|scope| servers.contains(&scope.server) && scope.covers(path))
        .fold(usual, |chain, scope| chain.around(scope.section.options, pool))
}

/// Returns the process group that plain `<Location>`s around a mount at `path` choose, the last of
/// them.
pub(super) fn covering_group(
    servers: [usize; 2],
    sections: &[Scope],
    path: &str,
) -> Option<PoolRef<Selection>> {
    sections
        .iter()
        .filter(|scope| servers.contains(&scope.server) && scope.covers(path))
        .filter_map(|scope| scope.section.process_group)
        .next_back()
}

/// Checks this module's uses. `usual` gives the option lines of a server outside its sections.
///
/// # Errors
///
/// A line for each mistake.
pub(super) fn own(
    pool: Pool<'_>,
    main: Server<'_>,
    usual: &dyn Fn(Server<'_>) -> Chain,
) -> Result<(), Vec<String>> {
    let sections = registry::sections();
    let mut wrong = Vec::new();
    registry::with_uses(|uses| {
        for server in main.iter() {
            let servers = [registry::identity(main), registry::identity(server)];
            let check = Check { pool, servers, usual: usual(server), sections: &sections, uses };
            check.lines();
            check.uses(&mut wrong);
            check.sections(&mut wrong);
        }
    });
    let mut seen = std::collections::HashSet::new();
    wrong.retain(|line| seen.insert(line.clone()));
    if wrong.is_empty() { Ok(()) } else { Err(wrong) }
}

/// Checks what only all modules together know, and tells what each has found. It runs after the
/// others.
///
/// # Errors
///
/// A line for each mistake.
pub(super) fn all(pool: Pool<'_>) -> Result<(), Vec<String>> {
    let mut wrong = registry::all_wrong(pool);
    wrong.extend(
        registry::wrong_names(pool)
            .iter()
            .map(|reason| Code::UnknownApplication.line(format_args!("{reason}"))),
    );
    wrong.extend(registry::unknown_lines(pool).iter().map(|line| {
        Code::UnknownOption.line(format_args!(
            "{line}: no application that it applies to has an option of that name"
        ))
    }));
    // httpd compares the major module magic number only. A record that has grown since its release
    // would be read beyond its end.
    let (running, built) = (mpm::release(), mpm::built_for());
    if running < built {
        wrong.push(Code::OlderHttpd.line(format_args!(
            "built with the headers of httpd {}.{}.{}, this is {}.{}.{}: build the module \
             with the headers of this httpd, or of an older one",
            built.0, built.1, built.2, running.0, running.1, running.2
        )));
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong) }
}

/// One server, with what of the main server is in force in it.
struct Check<'c, 'p> {
    pool: Pool<'p>,
    /// The main server and this one.
    servers: [usize; 2],
    usual: Chain,
    sections: &'c [Scope],
    uses: &'c [Use],
}

impl<'c> Check<'c, '_> {
    /// Checks the option lines outside of sections: an application somewhere has to know each.
    fn lines(&self) {
        self.usual.each(&mut |line| {
            let known = self.uses.iter().any(|used| used.application.factory.knows(&line.name));
            registry::line(self.pool, line, known);
        });
    }

    /// Checks each use: its options are complete and have the right types.
    fn uses(&self, wrong: &mut Vec<String>) {
        let [_, here] = self.servers;
        for used in self.uses {
            match &used.at {
                UsePlace::Section(section) if used.server == here => {
                    section.options.each(&mut |line| {
                        if !used.application.factory.knows(&line.name) {
                            wrong.push(unknown(used, &line.name, &line.place));
                        }
                    });
                    let options = self.usual.around(section.options, self.pool);
                    wrong.extend(problem(used, options));
                }
                UsePlace::Section(_) => {}
                UsePlace::Path(_) | UsePlace::Pattern if !self.servers.contains(&used.server) => {}
                UsePlace::Path(_) | UsePlace::Pattern => {
                    let options = self.covering(used);
                    // Sections whose reach cannot be told may have what is missing.
                    let excused = || {
                        self.here().any(|scope| {
                            scope.location.is_none()
                                && self.fits(used, options.around(scope.section.options, self.pool))
                        })
                    };
                    if !self.fits(used, options) && !excused() {
                        wrong.extend(problem(used, options));
                    }
                }
            }
        }
    }

    /// Sections that name no application: their lines suit one that is mounted there.
    fn sections(&self, wrong: &mut Vec<String>) {
        for scope in self.here() {
            if !matches!(scope.section.application, Choice::Unset) {
                continue;
            }
            let mounted: Vec<&Use> = self
                .uses
                .iter()
                .filter(|used| match &used.at {
                    UsePlace::Section(_) => false,
                    UsePlace::Path(path) => scope.touches(path),
                    UsePlace::Pattern => true,
                })
                .filter(|used| self.servers.contains(&used.server))
                .collect();
            let mut knowing: Vec<&Use> = Vec::new();
            scope.section.options.each(&mut |line| {
                let before = knowing.len();
                knowing.extend(
                    mounted.iter().filter(|used| used.application.factory.knows(&line.name)),
                );
                registry::line(self.pool, line, knowing.len() > before);
            });
            let options = |used| self.covering(used).around(scope.section.options, self.pool);
            if !knowing.iter().any(|used| self.fits(used, options(used))) {
                wrong.extend(knowing.first().and_then(|used| problem(used, options(used))));
            }
        }
    }

    fn here(&self) -> impl Iterator<Item = &'c Scope> {
        let servers = self.servers;
        self.sections.iter().filter(move |scope| servers.contains(&scope.server))
    }

    fn covering(&self, used: &Use) -> Chain {
        match &used.at {
            UsePlace::Path(path) => {
                covering(self.pool, self.usual, self.servers, self.sections, path)
            }
            UsePlace::Pattern | UsePlace::Section(_) => self.usual,
        }
    }

    fn fits(&self, used: &Use, options: Chain) -> bool {
        check(used, options).is_ok()
    }
}

fn check(used: &Use, options: Chain) -> Result<(), Error> {
    let factory = &used.application.factory;
    factory.check(&options.resolve(|name| factory.knows(name)))
}

/// Returns the problem of a use, with the line of the option that it is about, or else of the
/// application.
fn problem(used: &Use, options: Chain) -> Option<String> {
    let reason = check(used, options).err()?.to_string();
    let mut at = None;
    options.each(&mut |line| {
        if at.is_none() && reason.contains(&format!("\"{}\"", line.name)) {
            at = Some(line.place.clone());
        }
    });
    let (directive, place) = (&used.directive, &used.place);
    Some(match at {
        Some(at) => Code::WrongOption
            .line(format_args!("{at}: RustAppOption ({directive} at {place}): {reason}")),
        None => Code::WrongOption.line(format_args!("{place}: {directive}: {reason}")),
    })
}

fn unknown(used: &Use, option: &str, place: &str) -> String {
    let name = &used.application.name;
    let allowed = match used.application.factory.declared() {
        Some([]) | None => "it takes none".to_owned(),
        Some(declared) => format!("it has {}", declared.join(", ")),
    };
    Code::UnknownOption.line(format_args!(
        "{place}: RustAppOption {option}: application {name} has no such option; {allowed}"
    ))
}
