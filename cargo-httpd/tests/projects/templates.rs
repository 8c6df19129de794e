//! Each template builds, passes its tests and serves at once.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::common::text;
use crate::made::{Made, free_port, get};

/// Runs the project's own tests and checks its formatting. Then serves it embedded and in a process
/// group, and expects `wanted` at `path`.
fn is_good(project: &Made, path: &str, wanted: &str) {
    let formatting = Command::new("cargo")
        .args(["fmt", "--all", "--check"])
        .current_dir(project.path())
        .output()
        .unwrap();
    assert!(formatting.status.success(), "{}", text(&formatting.stdout));

    let said = project.call(&["test"]);
    assert!(said.contains("0 failed, 0 skipped"), "{said}");
    for test in ["daemon::event ... ok", "every_protocol_serves_the_same ... ok"] {
        assert!(said.contains(test), "{test} is missing in\n{said}");
    }
    for args in [&[][..], &["--daemon"]] {
        let running = project.run(args);
        assert_eq!(get(running.port, path), Some((200, wanted.to_owned())), "{args:?}");
        assert_eq!(get(running.port, &running.path).map(|(status, _)| status), Some(200));
        assert_eq!(get(running.port, "/").map(|(status, _)| status), Some(404));
        // The group has the project's name.
        if args == ["--daemon"] {
            project.call(&["restart-group", path.split('/').nth(1).unwrap()]);
        }
    }
}

#[test]
fn hello() {
    let project = Made::new("hello-shop", &[]);
    is_good(&project, "/hello-shop/Jo", "Hello, Jo\n");

    // Its own configuration makes the process group.
    project.replace("module/httpd.conf", "#Define", "Define");
    for args in [&[][..], &["--daemon"]] {
        let running = project.run(args);
        assert_eq!(get(running.port, &running.path).map(|(status, _)| status), Some(200));
    }

    let built = project.call(&["build", "--debug"]);
    let line = "LoadModule hello_shop_module \"";
    assert!(built.starts_with(line) && built.ends_with("/debug/mod_hello_shop.so\"\n"), "{built}");
    let conf = project.call(&["conf", "--debug"]);
    let include = format!("Include \"{}/module/httpd.conf\"", project.path().display());
    assert!(conf.lines().any(|line| line == include), "{conf}");
    assert!(conf.contains(built.trim_end()), "{conf}");
}

/// A server that was set up; it is stopped and removed at the end.
struct Site(PathBuf);

impl Drop for Site {
    fn drop(&mut self) {
        let _ = Command::new(self.0.join("apachectl")).arg("stop").output();
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_server_with_a_process_group_is_set_up() {
    let project = Made::new("group-shop", &[]);
    let port = free_port().to_string();
    // The paths of sockets are short.
    let root = std::env::temp_dir().join(format!("cargo-httpd-site-{}", std::process::id()));
    let site = Site(root.clone());
    let root = root.to_str().unwrap();
    let args = ["--debug", "--daemon", "--host", "127.0.0.1", "--port", &port];
    let output = project.output(&[&["setup-server", root], &args[..]].concat());
    let said = text(&output.stderr);
    assert!(output.status.success(), "{said}");
    let restart = format!("`cargo httpd restart-group --root {root} group-shop`");
    assert!(said.contains(&restart), "{said}");

    let started = Command::new(site.0.join("apachectl")).arg("start").status().unwrap();
    assert!(started.success());
    let answer = get(port.parse().unwrap(), "/group-shop/Jo");
    assert_eq!(answer, Some((200, "Hello, Jo\n".to_owned())));
    assert!(project.call(&["groups", "--root", root]).contains("group-shop"));
    project.call(&["restart-group", "--root", root, "group-shop"]);
}

#[test]
fn axum() {
    let project = Made::new("axum_shop", &["--template", "axum"]);
    is_good(&project, "/axum_shop/items", r#"{"apple":40,"pear":55}"#);
}

#[test]
fn module() {
    let project = Made::new("shop3", &["--template", "module"]);
    is_good(&project, "/shop3", "Good day! 3 shelves, prices in USD.\n");

    project.replace("module/httpd.conf", "shelves 3", "shelves three");
    let said = project.refused(&["run", "--debug", "--port", "0"]);
    let place = format!("{}/module/httpd.conf", project.path().display());
    assert!(said.contains("expected a whole number") && said.contains(&place), "{said}");
}
