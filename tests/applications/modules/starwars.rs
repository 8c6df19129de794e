//! `mod_starwars.so`.

mod_rust::module! {
    /// `LoadModule starwars_module …/mod_starwars.so`
    pub static starwars_module: "mod_starwars.c";
    applications = { "starwars" => applications::starwars::factory() };
}
