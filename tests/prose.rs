//! The comments of the sources keep the rules of CONTRIBUTING.md that a program can check: none opens
//! with a question word, and the comment of a public function begins with a verb.

use std::fs;
use std::path::{Path, PathBuf};

/// Openings that make a reader wait for the subject.
const REFUSED: [&str; 9] =
    ["What", "Whatever", "Who", "Whoever", "Whose", "How", "Where", "Wherever", "As"];

/// A comment: its place, its first words, and the first line of code below it.
struct Comment {
    place: String,
    text: String,
    item: String,
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Returns the comments that stand on lines of their own.
fn comments() -> Vec<Comment> {
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
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
    assert!(found.len() > 3000, "the sources have moved: only {} comments", found.len());
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
    let comments = comments();
    let wrong = comments.iter().filter(|comment| REFUSED.contains(&first_word(&comment.text)));
    let wrong = places(wrong);
    assert!(wrong.is_empty(), "name the thing, or begin with a verb:\n{}", wrong.join("\n"));
}

#[test]
fn the_comment_of_a_public_function_begins_with_a_verb() {
    let comments = comments();
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
