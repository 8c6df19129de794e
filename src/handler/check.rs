//! The configuration as a whole: every application that is named exists, and its options are what
//! it declares. What is wrong stops `apachectl configtest`, with its line.

use super::config::Choice;
use super::options::Chain;
use super::state::{self, Use};
use crate::gateway::Error;
use crate::httpd::{Pool, Server};

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
    let uses = state::uses();
    let mut wrong = Vec::new();
    for server in main.iter() {
        let is_main = server.as_ptr() == main.as_ptr();
        let here = state::identity(server);
        let there = state::identity(main);
        let chain = usual(server);
        // Mounts of the main server are in force in every virtual host.
        for used in uses
            .iter()
            .filter(|used| used.server == here || (used.server == there && used.section.is_none()))
        {
            let options = match &used.section {
                None => chain,
                Some(section) => {
                    section.options.each(&mut |line| {
                        if !used.application.factory.knows(&line.name) {
                            wrong.push(unknown(used, &line.name, &line.place));
                        }
                    });
                    chain.around(section.options, pool, true)
                }
            };
            if let Err(error) = check(used, options) {
                wrong.push(place(used, options, &error));
            }
        }
        if is_main || chain.identity() != usual(main).identity() {
            chain.each(&mut |line| {
                let known = uses.iter().any(|used| used.application.factory.knows(&line.name));
                state::line(pool, line, known);
            });
        }
    }
    for (section, server) in state::sections() {
        if !matches!(section.application, Choice::Unset) {
            continue;
        }
        let mounted: Vec<_> = uses
            .iter()
            .filter(|used| used.section.is_none())
            .filter(|used| used.server == server || used.server == state::identity(main))
            .collect();
        let chain = main
            .iter()
            .find(|candidate| state::identity(*candidate) == server)
            .map_or_else(Chain::default, usual);
        let mut fits: Vec<&Use> = Vec::new();
        section.options.each(&mut |line| {
            let known = mounted.iter().any(|used| used.application.factory.knows(&line.name));
            state::line(pool, line, known);
            fits.extend(
                mounted.iter().copied().filter(|used| used.application.factory.knows(&line.name)),
            );
        });
        let options = chain.around(section.options, pool, true);
        let errors: Vec<_> = fits
            .iter()
            .map_while(|used| check(used, options).err().map(|error| place(used, options, &error)))
            .collect();
        if errors.len() == fits.len() {
            wrong.extend(errors.into_iter().take(1));
        }
    }
    wrong.dedup();
    if wrong.is_empty() { Ok(()) } else { Err(wrong) }
}

/// Checks what only all modules together know. It runs after the others.
///
/// # Errors
///
/// A line for each mistake.
pub(super) fn all(pool: Pool<'_>) -> Result<(), Vec<String>> {
    let mut wrong: Vec<_> =
        state::wrong_names(pool).iter().map(|reason| format!("RUST0101: {reason}")).collect();
    wrong.extend(state::unknown_lines(pool).iter().map(|line| {
        format!("RUST0103: {line}: no application that is mounted there has an option of that name")
    }));
    if wrong.is_empty() { Ok(()) } else { Err(wrong) }
}

fn check(used: &Use, options: Chain) -> Result<(), Error> {
    let factory = &used.application.factory;
    factory.check(&options.resolve(|name| factory.knows(name)))
}

/// The mistake, at the line of the option that it is about, or else where the application is named.
fn place(used: &Use, options: Chain, error: &Error) -> String {
    let (mut at, reason) = (None, error.to_string());
    options.each(&mut |line| {
        if at.is_none() && reason.contains(&format!("\"{}\"", line.name)) {
            at = Some(line.place.clone());
        }
    });
    let (directive, name) = (&used.directive, &used.application.name);
    match at {
        Some(at) if at != used.place => {
            format!(
                "RUST0102: {at}: RustAppOption for application {name} ({directive} at {}): {reason}",
                used.place
            )
        }
        _ => format!("RUST0102: {}: {directive}: {reason}", used.place),
    }
}

fn unknown(used: &Use, option: &str, place: &str) -> String {
    let name = &used.application.name;
    let allowed = match used.application.factory.declared() {
        Some([]) | None => "it takes none".to_owned(),
        Some(declared) => format!("it has {}", declared.join(", ")),
    };
    format!(
        "RUST0103: {place}: RustAppOption {option}: application {name} has no such option; {allowed}"
    )
}
