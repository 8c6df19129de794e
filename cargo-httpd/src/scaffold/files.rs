//! The files of the templates, as they stand in `templates/new/`.

use super::Template;

/// A file's path in the project, and its text with names between @ signs.
type File = (&'static str, &'static str);

macro_rules! file {
    ($folder:literal, $path:literal) => {
        ($path, include_str!(concat!("../../templates/new/", $folder, "/", $path)))
    };
    // A Cargo.toml in this package would be one of cargo's, and a .gitignore one of git's.
    ($folder:literal, $source:literal as $path:literal) => {
        ($path, include_str!(concat!("../../templates/new/", $folder, "/", $source)))
    };
}

/// The files of every project.
const COMMON: &[File] = &[
    file!("common", "Cargo.toml.in" as "Cargo.toml"),
    file!("common", "README.md"),
    file!("common", "gitignore" as ".gitignore"),
    file!("common", "gateway/Cargo.toml.in" as "gateway/Cargo.toml"),
    file!("common", "gateway/src/main.rs"),
    file!("common", "module/Cargo.toml.in" as "module/Cargo.toml"),
];

/// The configuration of a template that has none of its own.
const PLAIN_MODULE: File = file!("common", "module/src/lib.rs");

const HELLO: &[File] = &[
    file!("hello", "gateway/tests/behind_httpd.rs"),
    file!("hello", "module/httpd.conf"),
    PLAIN_MODULE,
    file!("hello", "module/tests/httpd.rs"),
    file!("hello", "src/lib.rs"),
    file!("hello", "tests/application.rs"),
];

const AXUM: &[File] = &[
    file!("axum", "gateway/tests/behind_httpd.rs"),
    file!("axum", "module/httpd.conf"),
    PLAIN_MODULE,
    file!("axum", "module/tests/httpd.rs"),
    file!("axum", "src/lib.rs"),
    file!("axum", "tests/application.rs"),
];

const MODULE: &[File] = &[
    file!("module", "gateway/tests/behind_httpd.rs"),
    file!("module", "module/httpd.conf"),
    file!("module", "module/src/lib.rs"),
    file!("module", "module/tests/httpd.rs"),
    file!("module", "src/lib.rs"),
    file!("module", "tests/application.rs"),
];

/// Returns the files of a template, in the order of their paths.
pub(super) fn of(template: Template) -> Vec<File> {
    let own = match template {
        Template::Hello => HELLO,
        Template::Axum => AXUM,
        Template::Module => MODULE,
    };
    let mut files = [COMMON, own].concat();
    files.sort_unstable();
    files
}

/// Returns the dependencies of the application.
pub(super) fn dependencies(template: Template) -> &'static str {
    match template {
        Template::Hello => "mod_rust.workspace = true",
        Template::Axum => {
            "axum = { version = \"0.8\", default-features = false, features = [\"json\"] }\n\
             mod_rust = { workspace = true, features = [\"tower\"] }\n\
             serde = { version = \"1\", features = [\"derive\"] }\n\
             tracing = { version = \"0.1\", default-features = false, features = [\"std\"] }\n\
             \n\
             [dev-dependencies]\n\
             serde_json = \"1\""
        }
        Template::Module => {
            "mod_rust.workspace = true\n\
             serde = { version = \"1\", features = [\"derive\"] }"
        }
    }
}

/// Returns the README's text about the application.
pub(super) fn readme(template: Template) -> &'static str {
    match template {
        Template::Hello => "one function, which greets whom the path names",
        Template::Axum => "an axum `Router` with state, JSON and options",
        Template::Module => "two applications, one of them with options",
    }
}

/// Returns the gateway program's arguments, which `module/httpd.conf` gives to httpd.
pub(super) fn gateway_options(template: Template) -> &'static str {
    match template {
        Template::Hello | Template::Axum => "",
        Template::Module => " --option @NAME@:greeting=Hello",
    }
}
