//! The probe's paths: one table for the dispatch, for the answer to an unknown path, and for the
//! front page.

use mod_rust::{Application, Environ, StartResponse};

use super::answer::Answer;
use super::{Probe, download, environ, fail, file, head, log, upload, wait};

/// One path below the mount point.
#[derive(Debug)]
pub(crate) struct Path {
    pub(crate) name: &'static str,
    rest: Rest,
    /// The purpose of the path, in one line.
    pub(crate) shows: &'static str,
    /// The way to try the path.
    pub(crate) try_it: Try,
    pub(super) handler: Handler,
}

/// The handler of a path.
#[derive(Clone, Copy, Debug)]
pub(super) enum Handler {
    Function(Function),
    /// An asynchronous application, which the probe has had since it was built.
    Service(fn(&Probe) -> &dyn Application),
}

type Function = for<'x> fn(&Probe, Environ<'x>, &StartResponse<'x>) -> Answer<'x>;

/// The text that may follow a path's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    Nothing,
    /// One segment more.
    Segment,
    /// Nothing, or any path.
    Anything,
}

/// A way to try a path.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Try {
    /// A link that does no harm, with this behind the name; `{probe}` in it is the mount point.
    Link(&'static str),
    /// Options of curl.
    Curl(&'static str),
}

/// A group of related paths, for the front page.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) title: &'static str,
    pub(crate) paths: &'static [Path],
}

const BODY: Try = Try::Curl("--data hello");

pub(crate) static GROUPS: &[Group] = &[
    Group {
        title: "What the application is given",
        paths: &[
            path(
                "/environ",
                Try::Link(""),
                "Every environ key and value of this request",
                environ::environ,
            )
            .followed_by(Rest::Anything),
            path(
                "/config",
                Try::Link(""),
                "The options that this mount was given",
                environ::config,
            ),
        ],
    },
    Group {
        title: "What it may answer",
        paths: &[
            path("/status", Try::Link("/418"), "Any final status", head::status)
                .followed_by(Rest::Segment),
            path(
                "/headers",
                Try::Link("?X-One=1&X-One=2"),
                "Response headers of your choice",
                head::headers,
            ),
            path(
                "/redirect",
                Try::Link("?to=environ"),
                "A redirect that the client follows",
                head::redirect,
            ),
            path(
                "/internal",
                Try::Link("?to={probe}/environ"),
                "Another path's answer in place of its own",
                head::internal,
            ),
            path(
                "/bytes",
                Try::Link("/1000000"),
                "So many bytes, of known length",
                download::bytes,
            )
            .followed_by(Rest::Segment),
            path(
                "/stream",
                Try::Link("?chunks=20&ms=250"),
                "Chunks of unknown number, each sent at once",
                download::stream,
            ),
            path(
                "/file",
                Try::Link("?path=sample.txt"),
                "A file below the option root, if that is set",
                file::file,
            ),
        ],
    },
    Group {
        title: "What it may do with a request body",
        paths: &[
            path("/echo", BODY, "The body, sent back as it arrives", upload::echo),
            path(
                "/duplex",
                Try::Curl("-NT ."),
                "Each piece of the body before the next has come: type a line",
                upload::duplex,
            ),
            path("/discard", BODY, "Its length and SHA-256", upload::discard),
            path("/unread", BODY, "An answer without a look at the body", upload::unread),
            path("/early", BODY, "403 at the first byte of the body", upload::early),
        ],
    },
    Group {
        title: "What takes its time, and what is written down",
        paths: &[
            path(
                "/sleep",
                Try::Link("?ms=1000"),
                "An answer that blocks a thread for a second",
                wait::sleep,
            ),
            service(
                "/wait",
                Try::Link("?ms=1000"),
                "The same, of an asynchronous application",
                |probe| &*probe.wait,
            ),
            service(
                "/events",
                Try::Link(""),
                "Server-sent events, one a second, until you leave",
                |probe| &*probe.events,
            ),
            service(
                "/ws",
                Try::Curl("--include --header 'Connection: Upgrade' --header 'Upgrade: websocket'"),
                "A WebSocket that echoes each message",
                |probe| &*probe.websocket,
            ),
            path("/log", Try::Link("?level=warn"), "A line in the error log", log::log),
        ],
    },
    Group {
        title: "What may go wrong",
        paths: &[
            path("/error", Try::Link(""), "The application returns an error", fail::error),
            path("/panic", Try::Link(""), "The application panics", fail::panic),
            path(
                "/panic-late",
                Try::Link("?after=100"),
                "It panics in the midst of the body: the answer must look broken",
                fail::panic_late,
            ),
            path(
                "/exit",
                Try::Curl("--include"),
                "The process exits, where allow-crash is on",
                fail::exit,
            ),
            path("/abort", Try::Curl("--include"), "The process aborts, likewise", fail::abort),
            path(
                "/segv",
                Try::Curl("--include"),
                "The process dies of SIGSEGV, likewise",
                fail::segv,
            ),
        ],
    },
];

fn paths() -> impl Iterator<Item = &'static Path> {
    GROUPS.iter().flat_map(|group| group.paths)
}

pub(super) fn find(path_info: &[u8]) -> Option<&'static Path> {
    paths().find(|path| {
        let Some(rest) = path_info.strip_prefix(path.name.as_bytes()) else { return false };
        match path.rest {
            Rest::Nothing => rest.is_empty(),
            Rest::Anything => rest.is_empty() || rest.starts_with(b"/"),
            Rest::Segment => rest.len() > 1 && rest[0] == b'/' && !rest[1..].contains(&b'/'),
        }
    })
}

pub(super) fn not_found() -> String {
    let mut text = String::from("there is no such path; below the mount point there are:\n");
    for path in paths() {
        text.push_str(path.name);
        text.push_str(match path.rest {
            Rest::Nothing => "\n",
            Rest::Segment => "/…\n",
            Rest::Anything => "[/…]\n",
        });
    }
    text
}

const fn path(name: &'static str, try_it: Try, shows: &'static str, handler: Function) -> Path {
    Path { name, rest: Rest::Nothing, shows, try_it, handler: Handler::Function(handler) }
}

const fn service(
    name: &'static str,
    try_it: Try,
    shows: &'static str,
    service: fn(&Probe) -> &dyn Application,
) -> Path {
    Path { name, rest: Rest::Nothing, shows, try_it, handler: Handler::Service(service) }
}

impl Path {
    const fn followed_by(self, rest: Rest) -> Self {
        Self { rest, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_whole_name_only() {
        let name = |path_info: &str| find(path_info.as_bytes()).map(|path| path.name);
        assert_eq!(name("/panic"), Some("/panic"));
        assert_eq!(name("/panic-late"), Some("/panic-late"));
        assert_eq!(name("/environ"), Some("/environ"));
        assert_eq!(name("/environ/"), Some("/environ"));
        assert_eq!(name("/environ/a/b"), Some("/environ"));
        assert_eq!(name("/status/204"), Some("/status"));
        for unknown in
            ["", "/", "environ", "/environs", "/echo/", "/status", "/status/", "/bytes/1/2"]
        {
            assert_eq!(name(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn no_path_is_there_twice() {
        for (at, path) in paths().enumerate() {
            assert!(paths().take(at).all(|other| other.name != path.name), "{}", path.name);
        }
    }
}
