//! The needs of asynchronous applications, met with published crates: in httpd's children (event MPM),
//! in a daemon process, and in a program that speaks HTTP.

use std::fs;
use std::thread;

use httpd_testkit::{Mpm, Response, Server};

use crate::site::{Application, Folder, Mode, Site};

/// Makes tests of functions that take a [`Stage`]: each of the three modes.
macro_rules! in_three_modes {
    ($($name:ident)+) => {$(
        mod $name {
            use super::Stage;
            use crate::site::Mode;

            #[test]
            fn embedded() {
                super::$name(Stage::start(Mode::Embedded));
            }

            #[test]
            fn daemon() {
                super::$name(Stage::start(Mode::Daemon));
            }

            #[test]
            fn http() {
                super::$name(Stage::start(Mode::Http));
            }
        }
    )+};
}

in_three_modes! {
    the_time_out_layer_answers
    the_future_of_a_lost_client_is_dropped
    work_goes_on_after_the_response
    tasks_see_the_start_and_the_end
    files_are_written_and_read
    the_client_fetches
    the_database_keeps_notes
}

/// The application and its folder. The site ends first.
struct Stage {
    site: Site,
    folder: Folder,
}

impl Stage {
    fn start(mode: Mode) -> Self {
        let folder = Folder::new();
        let application = Application::new("chores", "/chores");
        let application = application.option("folder", folder.path().display().to_string());
        Self { site: application.start(mode, Mpm::Event), folder }
    }

    fn ask(&self, method: &str, target: &str, body: impl Into<Vec<u8>>) -> Response {
        let mut connection = self.site.connect();
        let request = connection.request(method, &format!("/chores{target}"));
        request.header("Connection", "close").body(body).send()
    }

    fn get(&self, target: &str) -> Response {
        self.ask("GET", target, "")
    }

    /// Counts a line of the diary.
    fn count(&self, line: &str) -> usize {
        let diary = fs::read_to_string(self.folder.path().join("diary")).unwrap_or_default();
        diary.lines().filter(|found| *found == line).count()
    }

    #[track_caller]
    fn wait_for(&self, line: &str, count: usize) {
        self.site.wait_for(line, || self.count(line) == count);
    }
}

fn the_time_out_layer_answers(stage: Stage) {
    for round in 1..=3 {
        assert_eq!(stage.get("/slow").status, 504);
        assert_eq!(stage.count("slow was dropped"), round);
    }
}

fn the_future_of_a_lost_client_is_dropped(stage: Stage) {
    let mut clients: Vec<_> = (0..4).map(|_| stage.site.connect()).collect();
    for client in &mut clients {
        client.write("GET /chores/hang HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    stage.wait_for("hang", 4);
    assert_eq!(stage.count("hang was dropped"), 0);
    drop(clients);
    stage.wait_for("hang was dropped", 4);
}

fn work_goes_on_after_the_response(stage: Stage) {
    assert_eq!(stage.get("/after").status, 202);
    // The response is here, and its request's end has passed.
    assert_eq!(stage.get("/notes").status, 200);
    assert_eq!(stage.count("worked after the response"), 0);
    assert_eq!(stage.ask("POST", "/after", "").status, 200);
    stage.wait_for("worked after the response", 1);
}

fn tasks_see_the_start_and_the_end(stage: Stage) {
    assert_eq!(stage.get("/notes").status, 200);
    stage.wait_for("started", 1);
    assert_eq!(stage.count("ended"), 0);
    stage.site.restart();
    stage.wait_for("ended", 1);
    assert_eq!(stage.get("/notes").status, 200);
    stage.wait_for("started", 2);
    stage.site.stop();
    assert_eq!(stage.count("ended"), 2, "the end waits for the task");
}

fn files_are_written_and_read(stage: Stage) {
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|number| (number % 251) as u8).collect();
    let stored = stage.ask("PUT", "/files/a.bin", bytes.clone());
    assert_eq!((stored.status, stored.text()), (200, "3000000"));
    assert!(fs::read(stage.folder.path().join("a.bin")).expect("a file") == bytes);
    let loaded = stage.get("/files/a.bin");
    assert!(loaded.end.is_complete() && loaded.body == bytes, "{} bytes", loaded.body.len());
    assert_eq!(stage.get("/files/none").status, 500);
}

fn the_client_fetches(stage: Stage) {
    let bytes = b"0123456789abcdef".repeat(128 << 10);
    let other = Server::builder().mpm(Mpm::Event).file("htdocs/a.bin", &bytes).start();
    let target = |name: &str| format!("/fetch/{}/{name}", other.port());
    // The second one uses the client's connection again.
    for _ in 0..2 {
        let fetched = stage.get(&target("a.bin"));
        assert_eq!(fetched.status, 200);
        assert!(fetched.end.is_complete() && fetched.body == bytes, "{}", fetched.body.len());
    }
    assert_eq!(stage.get(&target("none")).status, 404);
    // Nobody listens at this port.
    assert_eq!(stage.get("/fetch/1/a.bin").status, 500);
}

fn the_database_keeps_notes(stage: Stage) {
    thread::scope(|scope| {
        for writer in 0..4 {
            let stage = &stage;
            scope.spawn(move || {
                for note in 0..10 {
                    let added = stage.ask("POST", "/notes", format!("{writer}.{note}"));
                    assert_eq!(added.status, 201, "{added:?}");
                }
            });
        }
    });
    let notes = stage.get("/notes");
    assert_eq!(notes.text().lines().count(), 40, "{}", notes.text());
    assert!(notes.text().starts_with("0.0\n0.1\n"), "{}", notes.text());
}
