//! The front page as HTML. Every value that is not the page's own is escaped.

use std::fmt::{self, Display, Write};

use mod_rust::Environ;

use super::Options;
use crate::probe::{GROUPS, Path, Try};

/// The whole page.
pub(super) fn render(options: &Options, environ: &Environ<'_>) -> String {
    format!(
        include_str!("page.html"),
        style = include_str!("style.css"),
        facts = facts(environ),
        hello = Escaped(&options.hello.0),
        groups = groups(&options.probe.0, &origin(environ)),
    )
}

fn facts(environ: &Environ<'_>) -> String {
    let get = |key: &str| match environ.get(key) {
        Some(value) if !value.is_empty() => Some(String::from_utf8_lossy(value).into_owned()),
        _ => None,
    };
    let unknown = || String::from("not known");
    let mut text = String::new();
    for (name, value) in [
        ("mod_rust", env!("CARGO_PKG_VERSION").to_owned()),
        ("Server", get("SERVER_SOFTWARE").unwrap_or_else(unknown)),
        ("MPM", get("mod_rust.mpm").unwrap_or_else(unknown)),
        ("Mode", get("mod_rust.mode").unwrap_or_else(unknown)),
        ("Process group", get("mod_rust.process_group").unwrap_or_else(|| "none".into())),
    ] {
        put(&mut text, format_args!("<div><dt>{name}</dt><dd>{}</dd></div>\n", Escaped(&value)));
    }
    text
}

fn groups(probe: &str, origin: &str) -> String {
    let mut text = String::new();
    for group in GROUPS {
        put(&mut text, format_args!("<h3>{}</h3>\n<ul>\n", Escaped(group.title)));
        for path in group.paths {
            put_path(&mut text, probe, origin, path);
        }
        text.push_str("</ul>\n");
    }
    text
}

fn put_path(text: &mut String, probe: &str, origin: &str, path: &Path) {
    let shows = Escaped(path.shows);
    match path.try_it {
        Try::Link(tail) => {
            let target = format!("{probe}{}{}", path.name, tail.replace("{probe}", probe));
            let target = Escaped(&target);
            put(
                text,
                format_args!(
                    "<li><a href=\"{target}\"><code>{target}</code></a>\n<p>{shows}</p></li>\n"
                ),
            );
        }
        Try::Curl(options) => {
            let url = format!("{probe}{}", path.name);
            let command = format!("curl {options} '{origin}{url}'");
            put(
                text,
                format_args!(
                    "<li><code>{}</code>\n<p>{shows}</p>\n<pre><code>{}</code></pre></li>\n",
                    Escaped(&url),
                    Escaped(&command),
                ),
            );
        }
    }
}

/// Scheme and authority by which the client got here, for commands to copy.
///
/// What does not look like an authority is not repeated: it would end up in somebody's shell.
fn origin(environ: &Environ<'_>) -> String {
    let is_https = environ.get("gateway.url_scheme") == Some(b"https");
    let host = environ
        .get("HTTP_HOST")
        .and_then(|host| std::str::from_utf8(host).ok())
        .filter(|host| !host.is_empty() && host.bytes().all(is_in_authority))
        .unwrap_or("localhost");
    format!("{}://{host}", if is_https { "https" } else { "http" })
}

fn is_in_authority(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte)
}

fn put(text: &mut String, part: fmt::Arguments<'_>) {
    // To a String nothing fails to be written.
    let _ = text.write_fmt(part);
}

/// Text for HTML, in an element or in a quoted attribute.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}
