//! `mod_office.so`.

mod_rust::module! {
    /// `LoadModule office_module …/mod_office.so`
    pub static office_module: "mod_office.c";
    applications = { "office" => applications::office::factory() };
}
