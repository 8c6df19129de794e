//! Tests the section on a group in httpd's own page.

use httpd_testkit::mpm_tests;

use crate::support::{pid, setup};

mpm_tests! {
    fn the_page_shows_groups_processes_and_what_they_work_on(mpm) {
        let stage = setup("processes=2 threads=3")
            .mpm(mpm)
            .probe("threads=1")
            .with(|builder| builder.conf("ServerName page.example"))
            .start();
        let pids = stage.app().wait_ready(2);
        stage.group("probe").wait_ready(1);
        stage.pid_of_answer();
        // Data of a client appear there as text.
        let mut held = stage.send("/stage/run?name=held&steps=here,gate&x=<i>");
        let of = stage.wait_mark("held");
        stage.wait_for("one request counted", || stage.figure("app", "Requests") == 1);

        let page = stage.get("/server-status");
        assert_eq!(page.header("content-type"), Some("text/html; charset=ISO-8859-1"));
        let page = page.text();
        let section = |name: &str| {
            let start = format!("<h2>Rust process group {name}</h2>");
            let (_, after) = page.split_once(&start).unwrap_or_else(|| panic!("{start}\n{page}"));
            let (section, _) = after.split_once("</table>").expect("a table");
            section.to_owned()
        };
        let app = section("app");
        let ready = "2 of 2 processes ready, 6 threads; 1 requests running or waiting for a thread";
        assert!(app.contains(ready), "{app}");
        assert!(app.contains("<dt>1 requests, 0 with errors; 0 refused"), "{app}");
        // Two that serve and the spare one.
        let rows: Vec<_> = app.lines().filter(|line| line.starts_with("<tr><td>")).collect();
        assert_eq!(rows.len(), 3, "{app}");
        assert_eq!(rows.iter().filter(|row| row.contains("<td>dormant</td>")).count(), 1, "{app}");
        for pid in pids {
            let row = rows.iter().find(|row| row.contains(&format!("<td>{pid}</td><td>ready</td>")));
            let row = row.unwrap_or_else(|| panic!("{pid}: {app}"));
            let request = "GET page.example /stage/run?name=held&amp;steps=here,gate&amp;x=&lt;i&gt; \
                           (application, ";
            assert_eq!(row.contains(request), pid == of, "{app}");
            assert!(row.contains(if pid == of { "<td>1/3</td>" } else { "<td>0/3</td>" }), "{row}");
        }
        assert!(section("probe").contains("1 of 1 processes ready, 1 threads; 0 requests running"));
        assert!(!page.contains("<i>x") && !page.contains("x=<i>"), "{page}");

        let lines = stage.get("/server-status?auto");
        assert!(!lines.text().contains('<'), "{lines:?}");
        assert_eq!(stage.figure("app", "Running"), 1);
        assert_eq!(stage.figure("probe", "Ready"), 1);
        stage.gates.open("held");
        assert_eq!(pid(&held.read_response()), of);
    }
}
