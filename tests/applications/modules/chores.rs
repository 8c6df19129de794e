//! `mod_chores.so`.

mod_rust::module! {
    /// `LoadModule chores_module …/mod_chores.so`
    pub static chores_module: "mod_chores.c";
    applications = { "chores" => applications::chores::factory() };
}
