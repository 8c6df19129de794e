//! Watching the files that a module was built from.
//!
//! cargo's dep-info names each of them, path dependencies and included files too. Their folders are
//! watched rather than they themselves, since most editors replace a file when they save it.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use crate::events::Event;

/// By so much the clock that Linux stamps files with may lag behind the one that a process reads.
const TICK: Duration = Duration::from_millis(10);

/// Reports [`Event::Changed`] for each change of a followed file.
pub(crate) struct Watch {
    watcher: RecommendedWatcher,
    events: Sender<Event>,
    files: Arc<Mutex<HashSet<PathBuf>>>,
    folders: HashSet<PathBuf>,
}

impl Watch {
    pub(crate) fn new(events: Sender<Event>) -> Result<Self> {
        let files: Arc<Mutex<HashSet<PathBuf>>> = Arc::default();
        let (followed, to_loop) = (Arc::clone(&files), events.clone());
        let handler = move |event: notify::Result<notify::Event>| {
            let followed = followed.lock().unwrap_or_else(PoisonError::into_inner);
            if event.is_ok_and(|event| changes(&event, &followed)) {
                // Nobody receives it once the command has ended.
                let _ = to_loop.send(Event::Changed);
            }
        };
        let watcher = notify::recommended_watcher(handler).context("files cannot be watched")?;
        Ok(Self { watcher, events, files, folders: HashSet::new() })
    }

    /// Follows exactly `files` from here on. One that changed after `since` is reported at once: it
    /// did so while the module was being built.
    pub(crate) fn follow(&mut self, files: HashSet<PathBuf>, since: SystemTime) -> Result<()> {
        let folders: HashSet<_> =
            files.iter().filter_map(|file| file.parent()).map(Path::to_owned).collect();
        for folder in folders.difference(&self.folders) {
            self.watcher
                .watch(folder, RecursiveMode::NonRecursive)
                .with_context(|| format!("{} cannot be watched", folder.display()))?;
        }
        for folder in self.folders.difference(&folders) {
            // It may be gone itself.
            let _ = self.watcher.unwatch(folder);
        }
        self.folders = folders;
        // In this order nothing is missed: an event that the handler drops, since it does not know
        // the file yet, is of a change that the times below tell.
        self.files.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&files);
        let since = since - TICK;
        let changed = |file: &PathBuf| {
            file.metadata().and_then(|meta| meta.modified()).is_ok_and(|time| time > since)
        };
        if files.iter().any(changed) {
            let _ = self.events.send(Event::Changed);
        }
        Ok(())
    }
}

/// True if `event` changes one of `files`. Reading one does not.
fn changes(event: &notify::Event, files: &HashSet<PathBuf>) -> bool {
    !matches!(event.kind, EventKind::Access(_)) && event.paths.iter().any(|p| files.contains(p))
}

/// Returns the files that a change of means another build: those in cargo's dep-info but for what
/// the build itself makes below `target_dir`, and the manifests of their packages.
pub(crate) fn sources(dep_info: &Path, target_dir: &Path) -> Result<HashSet<PathBuf>> {
    let text = std::fs::read_to_string(dep_info)
        .with_context(|| format!("{} cannot be read", dep_info.display()))?;
    let mut files: HashSet<_> =
        parse_dep_info(&text).into_iter().filter(|file| !file.starts_with(target_dir)).collect();
    let manifest = |file: &PathBuf| {
        file.ancestors().skip(1).map(|dir| dir.join("Cargo.toml")).find(|path| path.is_file())
    };
    let manifests: Vec<_> = files.iter().filter_map(manifest).collect();
    files.extend(manifests);
    Ok(files)
}

/// Reads a rule of make: `target: file file`, where a backslash keeps a blank within a name.
fn parse_dep_info(text: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in text.lines() {
        let Some((_, list)) = line.split_once(": ") else { continue };
        let mut name = String::new();
        let mut chars = list.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '\\' if chars.peek() == Some(&' ') => name.extend(chars.next()),
                ' ' => files.push(std::mem::take(&mut name)),
                _ => name.push(c),
            }
        }
        files.push(name);
    }
    files.into_iter().filter(|name| !name.is_empty()).map(PathBuf::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::sync::mpsc;

    #[test]
    fn reads_dep_info() {
        let text = "/t/release/libx.so: /p/Cargo.toml /p/src/a\\ b.rs /p/src/lib.rs\n";
        let files: Vec<_> = parse_dep_info(text);
        assert_eq!(
            files,
            ["/p/Cargo.toml", "/p/src/a b.rs", "/p/src/lib.rs"].map(PathBuf::from).to_vec()
        );
        assert!(parse_dep_info("").is_empty());
    }

    #[test]
    fn only_a_change_of_a_followed_file_counts() {
        use notify::event::{AccessKind, CreateKind};
        let files = HashSet::from([PathBuf::from("/p/lib.rs")]);
        let counts = |kind, path| changes(&notify::Event::new(kind).add_path(path), &files);
        let created = EventKind::Create(CreateKind::File);
        assert!(counts(created, "/p/lib.rs".into()));
        assert!(!counts(created, "/p/.lib.rs.swp".into()));
        assert!(!counts(EventKind::Access(AccessKind::Read), "/p/lib.rs".into()));
    }

    #[test]
    fn a_replaced_file_is_reported() {
        let folder = std::env::temp_dir().join(format!("cargo-httpd-watch-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        // On systems whose folder for temporary files is a link, events carry the real path.
        let folder = folder.canonicalize().unwrap();
        let (followed, draft) = (folder.join("lib.rs"), folder.join("draft"));
        fs::write(&followed, "1").unwrap();

        let (sender, receiver) = mpsc::channel();
        let mut watch = Watch::new(sender).unwrap();
        let files = || HashSet::from([followed.clone()]);
        watch.follow(files(), SystemTime::UNIX_EPOCH).unwrap();
        assert!(matches!(receiver.try_recv(), Ok(Event::Changed)), "changed during the build");
        watch.follow(files(), SystemTime::now() + Duration::from_secs(60)).unwrap();
        assert!(receiver.try_recv().is_err(), "it is older than the build");

        fs::write(&draft, "2").unwrap();
        fs::rename(&draft, &followed).unwrap();
        let event = receiver.recv_timeout(Duration::from_secs(10)).unwrap();
        assert!(matches!(event, Event::Changed));
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_change_while_the_files_are_taken_in_is_reported() {
        let name = format!("cargo-httpd-watch-start-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        let folder = folder.canonicalize().unwrap();
        let followed = folder.join("lib.rs");
        for round in 0..300 {
            fs::write(&followed, "1").unwrap();
            let old = SystemTime::now() - Duration::from_secs(60);
            fs::File::options().write(true).open(&followed).unwrap().set_modified(old).unwrap();
            let (sender, receiver) = mpsc::channel();
            let mut watch = Watch::new(sender).unwrap();
            let since = SystemTime::now();
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    for _ in 0..round * 100 {
                        std::hint::spin_loop();
                    }
                    fs::write(&followed, "2").unwrap();
                });
                watch.follow(HashSet::from([followed.clone()]), since).unwrap();
            });
            let event = receiver.recv_timeout(Duration::from_secs(10));
            assert!(matches!(event, Ok(Event::Changed)), "round {round}: {event:?}");
        }
        fs::remove_dir_all(folder).unwrap();
    }
}
