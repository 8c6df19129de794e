//! Checks the rules of CONTRIBUTING.md on prose that a program can check: how comments open, the verb
//! of a function's comment, and the length of the documents' sentences.

use std::fs;
use std::path::{Path, PathBuf};

/// Openings that make a reader wait for the subject.
const REFUSED: [&str; 9] =
    ["What", "Whatever", "Who", "Whoever", "Whose", "How", "Where", "Wherever", "As"];

/// The folders whose comments are checked. `tests` holds the applications' own target folder, too.
const FOLDERS: [&str; 9] = [
    "src",
    "tests",
    "apache",
    "examples",
    "benches",
    "fuzz/targets",
    "cargo-httpd/src",
    "cargo-httpd/tests",
    "cargo-httpd/testkit",
];

/// The longest sentence of a document, in words.
const MOST_WORDS: usize = 30;

/// A comment: its position, its first line, and the first line of code below it.
struct Comment {
    place: String,
    text: String,
    item: String,
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() && !path.ends_with("target") {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Returns the comments in `folders` that stand on lines of their own, at least `least` of them.
fn comments(folders: &[&str], least: usize) -> Vec<Comment> {
    let mut files = Vec::new();
    for folder in folders {
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut files);
    }
    let mut found = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).expect("a source file");
        let lines: Vec<&str> = text.lines().map(str::trim_start).collect();
        for (at, line) in lines.iter().enumerate() {
            let before = at.checked_sub(1).map_or("", |before| lines[before]);
            // A sentence goes on below; the code of an example has its own rules.
            if !line.starts_with("//") || before.starts_with("//") {
                continue;
            }
            let item = lines[at..].iter().find(|line| !line.starts_with(['/', '#']));
            found.push(Comment {
                place: format!("{}:{}", file.display(), at + 1),
                text: line.trim_start_matches(['/', '!']).trim_start().to_owned(),
                item: (*item.unwrap_or(&"")).to_owned(),
            });
        }
    }
    assert!(found.len() > least, "the sources have moved: only {} comments", found.len());
    found
}

fn first_word(text: &str) -> &str {
    text.split(|c: char| !c.is_alphabetic()).next().unwrap_or_default()
}

fn places<'c>(wrong: impl Iterator<Item = &'c Comment>) -> Vec<String> {
    wrong.map(|comment| format!("{}: {}", comment.place, comment.text)).collect()
}

#[test]
fn no_comment_opens_with_a_question_word() {
    let comments = comments(&FOLDERS, 4500);
    let wrong = comments.iter().filter(|comment| REFUSED.contains(&first_word(&comment.text)));
    let wrong = places(wrong);
    assert!(wrong.is_empty(), "name the thing, or begin with a verb:\n{}", wrong.join("\n"));
}

#[test]
fn the_comment_of_a_public_function_begins_with_a_verb() {
    let comments = comments(&["src"], 3000);
    let is_function = |comment: &&Comment| {
        let words = comment.item.split_whitespace().take_while(|word| !word.contains('('));
        let words: Vec<_> = words.collect();
        words.first() == Some(&"pub") && comment.item.contains("fn ")
    };
    let wrong = comments.iter().filter(is_function).filter(|comment| {
        let word = first_word(&comment.text);
        !word.ends_with('s') || ["This", "Its"].contains(&word)
    });
    let wrong = places(wrong);
    assert!(wrong.is_empty(), "begin with a verb, as in \"Returns\":\n{}", wrong.join("\n"));
}

/// Returns the paragraphs, items and cells of a Markdown text, each with its line. Code is left out.
fn paragraphs(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut is_code = false;
    let mut open = false;
    for (at, line) in text.lines().enumerate() {
        let start = line.trim_start();
        is_code ^= start.starts_with("```");
        if is_code || start.starts_with("```") || line.starts_with("    ") || start.is_empty() {
            open = false;
        } else if let Some(row) = start.strip_prefix('|') {
            found.extend(row.split('|').map(|cell| (at + 1, cell.to_owned())));
            open = false;
        } else if let Some((_, last)) = found.last_mut().filter(|_| open && !is_item(start)) {
            last.push(' ');
            last.push_str(start);
        } else {
            found.push((at + 1, start.to_owned()));
            open = !start.starts_with('#');
        }
    }
    found
}

fn is_item(line: &str) -> bool {
    let rest = line.trim_start_matches(|c: char| c.is_ascii_digit());
    line.starts_with("- ")
        || line.starts_with('#')
        || rest.len() < line.len() && rest.starts_with(". ")
}

/// Returns the words of the longest sentence. A colon or semicolon ends one, a code span is a word.
fn longest_sentence(paragraph: &str) -> usize {
    let outside: Vec<_> = paragraph.split('`').step_by(2).collect();
    let text = outside.join("code");
    let mut longest = 0;
    let mut words = 0;
    for word in text.split_whitespace() {
        words += usize::from(word.contains(char::is_alphanumeric));
        longest = longest.max(words);
        let word = word.trim_end_matches([')', '"', '*']);
        if word.ends_with(['.', '?', '!', ':', ';']) {
            words = 0;
        }
    }
    longest
}

#[test]
fn sentences_of_the_documents_are_short() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut wrong = Vec::new();
    let mut count = 0;
    for folder in ["", "docs", "docs/servers"] {
        for entry in fs::read_dir(root.join(folder)).expect(folder) {
            let path = entry.expect("an entry").path();
            if path.extension().is_none_or(|extension| extension != "md") {
                continue;
            }
            let text = fs::read_to_string(&path).expect("a document");
            for (line, paragraph) in paragraphs(&text) {
                count += 1;
                let words = longest_sentence(&paragraph);
                if words > MOST_WORDS {
                    wrong.push(format!("{}:{line}: {words} words", path.display()));
                }
            }
        }
    }
    assert!(count > 2000, "the documents have moved: {count} paragraphs");
    assert!(
        wrong.is_empty(),
        "split the sentences, {MOST_WORDS} words at most:\n{}",
        wrong.join("\n")
    );
}
