//! `mod_books.so`.

mod_rust::module! {
    /// `LoadModule books_module …/mod_books.so`
    pub static books_module: "mod_books.c";
    applications = { "books" => applications::books::factory() };
}
