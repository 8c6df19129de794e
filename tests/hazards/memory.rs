//! Hazards 14 to 16: who may have a request, for how long, and what one costs the allocator.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use httpd_testkit::{Connection, Server, mpm_tests};

use crate::support::{quirks, stock};

/// Fails to compile where one of the types is `Send` or `Sync`: `what` is then ambiguous.
macro_rules! assert_stays_on_its_thread {
    ($($type:ty),+ $(,)?) => {$(
        const _: () = {
            struct IsSend;
            struct IsSync;
            trait Ambiguous<A> {
                fn what() {}
            }
            impl<T: ?Sized> Ambiguous<()> for T {}
            impl<T: ?Sized + Send> Ambiguous<IsSend> for T {}
            impl<T: ?Sized + Sync> Ambiguous<IsSync> for T {}
            let _ = <$type as Ambiguous<_>>::what;
        };
    )+};
}

assert_stays_on_its_thread! {
    mod_rust::httpd::Request<'static>,
    mod_rust::httpd::Pool<'static>,
    mod_rust::httpd::Table<'static>,
    mod_rust::httpd::Brigade<'static>,
    mod_rust::httpd::Server<'static>,
}

/// The examples that must not compile are among the documentation's tests; here it is held that
/// they are there.
#[test]
fn h14_h15_what_must_not_compile_is_tested() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/httpd/request.rs");
    let text = fs::read_to_string(source).unwrap();
    // E0521: borrowed data escapes; E0277: cannot be sent between threads.
    for code in ["compile_fail,E0521", "compile_fail,E0277"] {
        assert!(text.contains(code), "no doctest with {code}");
    }
}

mpm_tests! {
    /// Checks that values of a request's pool are dropped with it. Under the event MPM, httpd
    /// clears the pool after the last byte, on another thread than the hook's.
    fn h14_values_of_a_pool_go_with_it(mpm) {
        let server = quirks()
            .mpm(mpm)
            .log_level("info")
            .conf("<Location /probe>\nQuirksKeep ^/probe/(environ|bytes)\n</Location>")
            .start();
        for round in ["first", "second"] {
            let mut slow = server.connect();
            slow.write(format!("GET /probe/bytes/16000000?slow-{round} HTTP/1.1\r\nHost: x\r\n\r\n"));
            let environ = server.get(&format!("/probe/environ?quick-{round}")).text().to_owned();
            assert!(environ.contains(&format!("\"QUIRKS_KEPT\": \"quick-{round}\"")), "{environ}");
            server.wait_log(&format!("dropped quick-{round}"));
            let slow_one = format!("dropped slow-{round}");
            assert!(!server.error_log().contains(&slow_one), "it is dropped before its end");
            let response = slow.read_response();
            assert_eq!((response.status, response.body.len()), (200, 16_000_000));
            for line in [slow_one, format!("cleared slow-{round}")] {
                server.wait_log(&line);
            }
            server.graceful();
        }
        assert_eq!(server.error_log().matches("dropped ").count(), 4);
    }
}

/// Counts the calls of malloc and its kin in each process, in a file of the server root that all of
/// them map.
const COUNTER: &str = r#"
#define _GNU_SOURCE
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
static unsigned long *count;

__attribute__((constructor)) static void start(void)
{
    int fd = open(getenv("MALLOC_COUNT"), O_RDWR);
    void *map = mmap(NULL, sizeof *count, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd < 0 || map == MAP_FAILED) abort();
    close(fd);
    count = map;
}

static void tick(void) { if (count) __atomic_fetch_add(count, 1, __ATOMIC_RELAXED); }
void *malloc(size_t n) { tick(); return __libc_malloc(n); }
void *calloc(size_t n, size_t m) { tick(); return __libc_calloc(n, m); }
void *realloc(void *p, size_t n) { tick(); return __libc_realloc(p, n); }
"#;

fn counter(folder: &Path) -> PathBuf {
    let (source, library) = (folder.join("malloc_count.c"), folder.join("malloc_count.so"));
    fs::write(&source, COUNTER).unwrap();
    let mut command = Command::new("cc");
    command.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(&source);
    let output = command.output().expect("a C compiler");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    library
}

/// Returns the number of allocations for each of many requests on a connection.
fn allocations(server: &Server, count: &Path, path: &str) -> f64 {
    const REQUESTS: u32 = 400;
    let read = || u64::from_ne_bytes(fs::read(count).unwrap()[..8].try_into().unwrap());
    let mut connection: Connection = server.connect();
    let mut run = |requests| {
        for _ in 0..requests {
            assert_eq!(connection.request("GET", path).send().status, 200);
        }
    };
    run(50);
    let before = read();
    run(REQUESTS);
    (read() - before) as f64 / f64::from(REQUESTS)
}

/// A handler in C allocates nothing for a request like these: its pool's memory is used again.
#[test]
fn h16_a_request_is_answered_without_the_allocator() {
    let folder = folder();
    let library = counter(&folder);
    let count = folder.join("count");
    fs::write(&count, [0; 8]).unwrap();
    let server = stock()
        .mpm(httpd_testkit::Mpm::Prefork)
        .children(1)
        .file("htdocs/a.txt", "Hello, world\n")
        .env("LD_PRELOAD", &library)
        .env("MALLOC_COUNT", &count)
        .wrap(&[])
        .start();
    let file = allocations(&server, &count, "/a.txt");
    let hello = allocations(&server, &count, "/hello");
    let environ = allocations(&server, &count, "/probe/environ");
    println!("allocations a request: file {file:.2}, hello {hello:.2}, environ {environ:.2}");
    assert!(environ > 10.0, "the counter does not count: {environ:.2}");
    assert!(hello <= file + 0.5, "hello {hello:.2}, a file {file:.2}");
}

fn folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("h16");
    fs::create_dir_all(&folder).unwrap();
    folder
}
