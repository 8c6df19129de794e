//! Each template builds, passes its tests and serves at once.

use std::process::Command;

use crate::common::text;
use crate::made::{Made, get};

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
