//! The programs: a name, and what follows the lines that all have.

/// A module that uses what it is given as it is meant.
pub(crate) const ALLOWED: &str = r#"
#[derive(Default)]
struct Settings {
    pattern: Option<Pattern>,
}

impl Config for Settings {
    fn merge(&self, _inner: &Self, pool: Pool<'_>) -> Self {
        pool.on_clear(|| ());
        Self::default()
    }
}

fn set(settings: &mut Settings, arguments: &[&str], at: &Parameters<'_>) -> std::result::Result<(), String> {
    settings.pattern = arguments.first().and_then(|text| Pattern::new(text));
    if at.server().is_virtual() { Err(at.place()) } else { Ok(()) }
}

fn fixups(request: &Request<'_>, settings: &Settings) -> HookStatus {
    let kept: &String = request.pool().own(String::from("kept for the request"));
    let table = Table::new(request.pool());
    table.set(request.pool(), c"NAME", kept.as_bytes());
    log::request(request, mod_rust::gateway::Level::Debug, kept);
    if settings.pattern.is_some() { HookStatus::Ok } else { HookStatus::Declined }
}

fn handler(request: &Request<'_>, _: &Settings) -> HookStatus {
    let mut brigade = Brigade::new(request);
    brigade.push_static(b"Hello\n");
    brigade.push_end();
    let _ = request.pass(&mut brigade);
    HookStatus::Ok
}

fn hello<'x>(_: Environ<'x>, start_response: StartResponse<'x>) -> Result<Body<'x>> {
    start_response.start(200, [("Content-Type", "text/plain")])?;
    Ok(Body::from("Hello\n"))
}

mod_rust::module! {
    /// A module.
    pub static allowed_module: "mod_allowed.c";
    applications = { "hello" => Factory::of(hello) };
    config = Settings;
    directives = [Directive::arguments(c"AllowedSet", Contexts::SERVER, c"Sets it", "a pattern", set)];
    fixups = fixups;
    handler = handler;
}
"#;

/// Two modules in one library.
pub(crate) const TWINS: &str = r#"
fn hello<'x>(_: Environ<'x>, start_response: StartResponse<'x>) -> Result<Body<'x>> {
    start_response.start(200, [("Content-Type", "text/plain")])?;
    Ok(Body::from("Hello\n"))
}

mod_rust::module! {
    pub static first_module: "mod_first.c";
    applications = { "one" => Factory::of(hello) };
}

mod_rust::module! {
    pub static second_module: "mod_second.c";
    applications = { "two" => Factory::of(hello) };
}
"#;

/// Programs that are refused, each by the error that stands behind its mark.
pub(crate) const REFUSED: &[(&str, &str)] = &[
    // Values in pools.
    (
        "a value of a pool in a static",
        r#"
static KEPT: Mutex<Option<&'static String>> = Mutex::new(None);
fn keep(request: &Request<'_>) {
    let value = request.pool().own(String::new());
    *KEPT.lock().unwrap() = Some(value); //~ E0521
}
"#,
    ),
    (
        "a value of a pool in a configuration record",
        r#"
struct Record(Mutex<&'static str>);
impl Record {
    fn fill(&self, pool: Pool<'_>) {
        *self.0.lock().unwrap() = pool.own(String::new()); //~ E0521
    }
}
"#,
    ),
    (
        "a value without a lifetime",
        r#"
fn keep(request: &Request<'_>) {
    request.pool().keep(1); //~ E0624
}
"#,
    ),
    ("the kit's pointers into pools", "use mod_rust::httpd::PoolRef; //~ E0603\n"),
    (
        "a reference to a local in a pool",
        r#"
struct Noisy<'a>(&'a str);
impl Drop for Noisy<'_> {
    fn drop(&mut self) {
        println!("{}", self.0);
    }
}
fn keep(request: &Request<'_>) {
    let local = String::from("gone when the pool is cleared");
    request.pool().own(Noisy(&local)); //~ E0597
}
"#,
    ),
    (
        "a value in a pool that may not leave its thread",
        r#"
fn keep(request: &Request<'_>) {
    request.pool().own(Rc::new(1)); //~ E0277
}
"#,
    ),
    (
        "a callback of a pool that refers to a local",
        r#"
fn keep(request: &Request<'_>) {
    let local = String::from("gone when the pool is cleared");
    let local = &local; //~ E0597
    request.pool().on_clear(move || println!("{local}"));
}
"#,
    ),
    (
        "a callback of a pool that may not leave its thread",
        r#"
fn keep(request: &Request<'_>) {
    let counter = Rc::new(Cell::new(0));
    request.pool().on_clear(move || counter.set(1)); //~ E0277
}
"#,
    ),
    // The kit's traits.
    (
        "a module's trait by hand",
        r#"
struct Forged;
impl mod_rust::__private::Module for Forged { //~ E0200
    const NAME: &'static std::ffi::CStr = c"mod_forged.c";
    type Config = ();
    const DIRECTIVES: &'static [Directive<()>] = &[];
    const FIXUPS: Option<mod_rust::__private::OwnHook<()>> = None;
    const HANDLER: Option<mod_rust::__private::OwnHook<()>> = None;
    fn record() -> *mut mod_rust::__private::ModuleRecord {
        std::ptr::null_mut()
    }
    fn applications() -> Vec<(&'static str, Factory)> {
        Vec::new()
    }
}
"#,
    ),
    ("the trait of configuration records", "use mod_rust::module::Records; //~ E0603\n"),
    ("the trait of module definitions", "use mod_rust::module::Definition; //~ E0603\n"),
    ("the trait of directives' records", "use mod_rust::module::Project; //~ E0603\n"),
    ("the types behind a module", "use mod_rust::handler::Gate; //~ E0603\n"),
    ("hooks past the macro", "use mod_rust::module::Registrar; //~ E0603\n"),
    (
        "a row of the command table",
        r#"
fn row(directive: &'static Directive<()>) {
    let row = directive.command(); //~ E0624
}
"#,
    ),
    (
        "another symbol by the macro",
        r#"
mod_rust::module! {
    pub static odd_module: "mod_odd.c";
    applications = {};
}
fn read() -> i32 {
    odd_module.version //~ E0133
}
"#,
    ),
    (
        "a symbol that is not a module's",
        r#"
mod_rust::module! { //~ E0080
    pub static malloc: "mod_malloc.c";
    applications = {};
}
"#,
    ),
    // httpd's process, servers and tables.
    (
        "the main server from anywhere",
        r#"
fn main_server() -> Option<Server<'static>> {
    Server::main() //~ E0624
}
"#,
    ),
    (
        "the pool of httpd's process",
        r#"
fn process(request: &Request<'_>) {
    request.server().process_pool(); //~ E0624
}
"#,
    ),
    (
        "a shared table",
        r#"
fn table(pool: Pool<'_>) {
    pool.shared_table(c"mod_ssl"); //~ E0624
}
"#,
    ),
    (
        "a server on another thread",
        r#"
fn send(request: &Request<'_>) {
    let server = request.server();
    std::thread::scope(|scope| {
        scope.spawn(|| server.name()); //~ E0277
    });
}
"#,
    ),
    (
        "a string of a short pool in a longer table",
        r#"
fn set<'long: 'short, 'short>(table: Table<'long>, pool: Pool<'short>) {
    table.set(pool, c"NAME", b"value"); //~ lifetime may not live long enough
}
"#,
    ),
    (
        "a table for less than its time",
        r#"
fn shorten<'long: 'short, 'short>(table: Table<'long>) -> Table<'short> {
    table //~ lifetime may not live long enough
}
"#,
    ),
    (
        "a pool for less than its time",
        r#"
fn shorten<'long: 'short, 'short>(pool: Pool<'long>) -> Pool<'short> {
    pool //~ lifetime may not live long enough
}
"#,
    ),
    (
        "a brigade of another request",
        r#"
fn pass<'long: 'short, 'short>(request: &Request<'short>, brigade: &mut Brigade<'long>) {
    let _ = request.pass(brigade); //~ lifetime may not live long enough
}
"#,
    ),
    // Requests.
    (
        "a request in a static",
        r#"
static KEPT: Mutex<Option<&'static str>> = Mutex::new(None);
fn keep(request: &Request<'_>) {
    let method = std::str::from_utf8(request.method()).unwrap();
    *KEPT.lock().unwrap() = Some(method); //~ E0521
}
"#,
    ),
    (
        "a request on another thread",
        r#"
fn send(request: &Request<'_>) {
    std::thread::scope(|scope| {
        scope.spawn(|| request.method()); //~ E0277
    });
}
"#,
    ),
    // Functions that only the kit needs.
    ("the module that logs", "use mod_rust::httpd::log::set_module; //~ E0603\n"),
    ("a process without logs", "use mod_rust::httpd::log::only_to_stderr; //~ E0603\n"),
    ("the request that lines belong to", "use mod_rust::httpd::log::with_request; //~ E0603\n"),
    ("forks", "use mod_rust::httpd::other_child; //~ E0603\n"),
    ("signals", "use mod_rust::httpd::signals; //~ E0603\n"),
    ("the MPM", "use mod_rust::httpd::mpm; //~ E0603\n"),
    ("httpd's user", "use mod_rust::httpd::unixd; //~ E0603\n"),
    ("formats of the access log", "use mod_rust::module::log_format; //~ E0603\n"),
    ("sections of the status page", "use mod_rust::module::StatusPageHook; //~ E0603\n"),
    (
        "httpd's own file name",
        r#"
fn set(request: &Request<'_>) {
    request.set_file(c"rust:x", 0); //~ E0624
}
"#,
    ),
    (
        "a bucket's bytes",
        r#"
fn read(brigade: &mut Brigade<'_>) {
    brigade.read_first(true); //~ E0624
}
"#,
    ),
];
