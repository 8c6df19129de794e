//! The configuration file. Each line is an option of the command line: `name = value`, or `name`
//! alone for one that has no value.

use std::path::Path;

/// An option of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) number: usize,
    name: String,
    value: Option<String>,
}

impl Line {
    /// Returns the word of a command line that says the same.
    pub(super) fn word(&self) -> String {
        match &self.value {
            Some(value) => format!("--{}={value}", self.name),
            None => format!("--{}", self.name),
        }
    }
}

/// The options that only the command line has.
const NOT_HERE: [&str; 4] = ["config", "cgi", "help", "version"];

/// Reads a file.
///
/// # Errors
///
/// It cannot be read, or a line is wrong; the text names the line and says what is allowed.
pub(super) fn read(path: &Path) -> Result<Vec<Line>, String> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("configuration \"{}\": {error}", path.display()))?;
    parse(&text).map_err(|(number, problem)| place(path, number, &problem))
}

/// Returns a problem with its file and line.
pub(super) fn place(path: &Path, number: usize, problem: &str) -> String {
    format!("configuration \"{}\", line {number}: {problem}", path.display())
}

fn parse(text: &str) -> Result<Vec<Line>, (usize, String)> {
    let mut lines = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = match line.split_once('=') {
            Some((name, value)) => (name.trim_end(), Some(unquoted(value.trim()).into())),
            None => (line, None),
        };
        let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if !is_name || !name.starts_with(|first: char| first.is_ascii_lowercase()) {
            let problem = format!(
                "line \"{line}\": not an option; expected name = value, name, or # and text"
            );
            return Err((number, problem));
        }
        if NOT_HERE.contains(&name) {
            let problem =
                format!("option \"{name}\": not allowed in a file; expected on the command line");
            return Err((number, problem));
        }
        lines.push(Line { number, name: name.into(), value });
    }
    Ok(lines)
}

/// Omits the quotes around a whole value.
fn unquoted(value: &str) -> &str {
    for quote in ['"', '\''] {
        let inner = value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
        if let Some(inner) = inner.filter(|inner| !inner.contains(quote)) {
            return inner;
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_options() {
        let text = "# The shop.\n\nworkers = 2\r\n  http=127.0.0.1:80\nlog = \"/var/log/a b\"\n\
                    access-log-format = \"%r\" \"%s\"\noption = shop:greeting=a = 'b'\nlog-level='info'\n\
                    forwarded-host\n";
        let lines = parse(text).unwrap();
        let words: Vec<_> = lines.iter().map(Line::word).collect();
        assert_eq!(
            words,
            [
                "--workers=2",
                "--http=127.0.0.1:80",
                "--log=/var/log/a b",
                "--access-log-format=\"%r\" \"%s\"",
                "--option=shop:greeting=a = 'b'",
                "--log-level=info",
                "--forwarded-host",
            ]
        );
        assert_eq!((lines[0].number, lines[5].number), (3, 8));
    }

    #[test]
    fn mistakes_are_told_with_their_line() {
        for (text, line, expected) in [
            ("a b\n", 1, "line \"a b\": not an option; expected name = value"),
            ("\n[server]\n", 2, "not an option"),
            ("--workers = 2", 1, "not an option"),
            ("= 2", 1, "not an option"),
            ("a=1\n#\nconfig = x", 3, "option \"config\": not allowed in a file"),
            ("help=x", 1, "option \"help\": not allowed in a file"),
        ] {
            let (number, problem) = parse(text).unwrap_err();
            assert!(number == line && problem.contains(expected), "{text:?}: {number}: {problem}");
        }
        let error = read(Path::new("/nowhere/conf")).unwrap_err();
        assert!(error.starts_with("configuration \"/nowhere/conf\": No such file"), "{error}");
    }
}
