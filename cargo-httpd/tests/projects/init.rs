//! Applications that are there already, and get a module and a gateway by `cargo httpd init`.

use std::process::Command;

use crate::common::text;
use crate::made::{Made, TARGET, get};

const KIT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// The dependencies, with the features that the template has: they are built once for both.
const AXUM: &str = "[dependencies]\n\
    axum = { version = \"0.8\", default-features = false, features = [\"json\"] }\n";

fn manifest(name: &str, rest: &str) -> String {
    format!("[package]\nname = \"{name}\"\nversion = \"1.2.3\"\nedition = \"2021\"\n\n{AXUM}{rest}")
}

#[test]
fn a_crate_with_only_a_main() {
    let main = "//! A server of its own.\nmod pages;\n\nuse axum::{Router, routing::get};\n\n\
                fn main() -> Result<(), std::io::Error> {\n    let _served = app();\n    \
                println!(\"{}\", crate::pages::FRONT);\n    Ok(())\n}\n\n\
                fn app() -> pages::PageResult<Router> {\n    Ok(Router::new().route(\"/\", \
                get(async || pages::FRONT)))\n}\n\n#[cfg(test)]\nmod tests {\n    fn app() -> \
                axum::Router {\n        super::app().unwrap()\n    }\n}\n";
    let project = Made::of(
        "init-single",
        &[
            ("Cargo.toml", &manifest("init-single", "")),
            ("src/main.rs", main),
            (
                "src/pages.rs",
                "pub const FRONT: &str = \"The front\";\n\
                 pub type PageResult<T> = Result<T, std::io::Error>;\n",
            ),
        ],
    );
    let said = project.call(&["init"]);
    for line in ["module/src/lib.rs", "gateway/src/main.rs", "changed: src/lib.rs"] {
        assert!(said.lines().any(|found| found == line), "{line} is missing in\n{said}");
    }
    // The program of its own is what it was.
    let output = project.cargo(&["run", "--quiet", "--package", "init-single"]).output().unwrap();
    assert_eq!(text(&output.stdout), "The front\n", "{}", text(&output.stderr));

    let running = project.run(&["--daemon"]);
    assert_eq!(running.path, "/init-single");
    assert_eq!(get(running.port, &running.path), Some((200, "The front".to_owned())));
    drop(running);
    let said = project.refused(&["init"]);
    assert!(said.contains("/module\": exists already"), "{said}");
}

#[test]
fn a_package_of_a_workspace() {
    let lib = "mod web;\n";
    let web = "//! Pages.\nuse axum::{Router, routing::get};\n\n\
               pub(crate) async fn connected() -> std::io::Result<Router> {\n    \
               let text = std::future::ready(\"Connected\").await;\n    \
               Ok(Router::new().route(\"/\", get(async move || text)))\n}\n\n\
               pub fn stated(text: &'static str) -> Router {\n    \
               Router::new().route(\"/\", get(async move || text))\n}\n";
    let project = Made::of(
        "init-many",
        &[
            ("Cargo.toml", "[workspace]\nresolver = \"2\"\nmembers = [\"crates/*\"] # all\n"),
            ("crates/fruit/Cargo.toml", &manifest("fruit", "")),
            ("crates/fruit/src/lib.rs", lib),
            ("crates/fruit/src/web.rs", web),
            ("crates/tool/Cargo.toml", &manifest("tool", "")),
            (
                "crates/tool/src/lib.rs",
                "pub fn router(s: u8) -> axum::Router { drop(s); todo!() }\n",
            ),
        ],
    );
    let said = project.refused(&["init"]);
    assert!(said.contains("--package NAME; expected one of: fruit, tool"), "{said}");
    let said = project.refused(&["init", "--package", "tool", "--name", "tools"]);
    assert!(
        said.contains("needs arguments: router (src/lib.rs); write the lines of `main`")
            && said.contains("`pub fn application() -> Router`"),
        "{said}"
    );
    let said = project.refused(&["init", "--package", "fruit", "--router", "other"]);
    assert!(said.contains("expected one of: web::connected (src/web.rs)"), "{said}");

    project.call(&["init", "--package", "fruit"]);
    // A plain `cargo build` leaves out what needs httpd's headers.
    let metadata =
        project.cargo(&["metadata", "--no-deps", "--format-version", "1"]).output().unwrap();
    let metadata: serde_json::Value = serde_json::from_slice(&metadata.stdout).unwrap();
    let members = metadata["workspace_default_members"].to_string();
    assert!(members.contains("fruit/gateway") && !members.contains("/module"), "{members}");
    let said = project.call(&["test"]);
    assert!(said.contains("test embedded ... ok") && said.contains("test daemon ... ok"), "{said}");
    let program = format!("{TARGET}/debug/fruit-gateway");
    let output = Command::new(program).arg("--version").output().unwrap();
    assert_eq!(text(&output.stdout), "fruit-gateway 1.2.3\n", "{}", text(&output.stderr));
}

impl Made {
    /// `cargo ARGS` in the project's folder, with the target folder that the tool has.
    fn cargo(&self, args: &[&str]) -> Command {
        let tool = self.command(&[]);
        let mut command = Command::new("cargo");
        command.args(args).current_dir(self.path());
        command.envs(tool.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command
    }

    /// A project with these files, and the versions that the kit is tested with.
    fn of(name: &str, files: &[(&str, &str)]) -> Self {
        let made = Self::empty(name);
        for (file, text) in files {
            made.write(file, text);
        }
        std::fs::copy(format!("{KIT}/Cargo.lock"), made.path().join("Cargo.lock")).unwrap();
        made
    }
}
