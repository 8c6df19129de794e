//! `mod_files.so`.

mod_rust::module! {
    /// `LoadModule files_module …/mod_files.so`
    pub static files_module: "mod_files.c";
    applications = { "files" => applications::files::factory() };
}
