//! Every way to the application, configured as docs/servers says. Each takes the mount point.

use httpd_testkit::{Gateway, Mpm, WebServer, WebServerBuilder, is_open_program};

use crate::documented::block;
use crate::way::{self, Httpd, Plan, Planned};

/// The program's address in the pages.
const ADDR: &str = "127.0.0.1:9000";
/// Or there.
const SOCKET: &str = "/run/shop.sock";

/// Returns the program, listening on TCP for one protocol.
fn listening(mount: &str, protocol: &str) -> Gateway {
    way::start(way::program(mount).arg(format!("--{protocol}")).arg("127.0.0.1:0"))
}

/// Returns the program, listening for HTTP behind a proxy.
fn behind_proxy(mount: &str) -> Gateway {
    let words = ["--http", "127.0.0.1:0", "--trusted-proxy", "127.0.0.1/32"];
    way::start(way::program(mount).args(words))
}

/// Returns the program, listening on a Unix socket that every user may connect to.
fn listening_on_socket(mount: &str, protocol: &str) -> Gateway {
    let option = format!("--{protocol}");
    let words = [&*option, "{root}/shop.sock", "--socket-mode", "0666"];
    way::start(way::program(mount).args(words))
}

/// Returns a block of a page for this mount and the address of the program.
fn filled(block: &str, mount: &str, addr: &str) -> String {
    let (host, port) = addr.rsplit_once(':').unwrap_or((addr, ""));
    block
        .replace(SOCKET, "{socket}")
        .replace("/shop", mount)
        .replace("{socket}", addr)
        .replace(ADDR, addr)
        .replace("\"port\" => 9000", &format!("\"port\" => {port}"))
        .replace("\"host\" => \"127.0.0.1\"", &format!("\"host\" => \"{host}\""))
}

fn other(server: WebServerBuilder, program: Gateway) -> Plan {
    Plan { server: Planned::Other(server), program: Some(program) }
}

fn nginx(mount: &str, heading: &str, protocol: &str) -> Plan {
    let program = listening(mount, protocol);
    let server = filled(&block("nginx.md", heading, 0), mount, &program.addr(protocol));
    other(WebServer::nginx().conf(&server), program)
}

/// Configures nginx with an `upstream` block.
fn nginx_upstream(mount: &str, heading: &str, program: Gateway, addr: &str) -> Plan {
    let upstream = filled(&block("nginx.md", heading, 0), mount, addr);
    let server = filled(&block("nginx.md", heading, 1), mount, addr);
    other(WebServer::nginx().outer_conf(&upstream).conf(&server), program)
}

pub(crate) fn nginx_fastcgi(mount: &str) -> Plan {
    nginx(mount, "FastCGI", "fastcgi")
}

pub(crate) fn nginx_fastcgi_kept(mount: &str) -> Plan {
    let program = listening(mount, "fastcgi");
    let addr = program.addr("fastcgi");
    nginx_upstream(mount, "FastCGI, connections kept", program, &addr)
}

/// Configures nginx not to store request bodies.
pub(crate) fn nginx_unbuffered(mount: &str) -> Plan {
    nginx(mount, "Request bodies while they come", "fastcgi")
}

/// Configures nginx as below `heading`, but over a Unix socket.
pub(crate) fn nginx_socket(mount: &str, heading: &str, protocol: &str) -> Plan {
    let program = listening_on_socket(mount, protocol);
    let addr = format!("unix:{}", program.addr(protocol));
    other(WebServer::nginx().conf(&filled(&block("nginx.md", heading, 0), mount, &addr)), program)
}

pub(crate) fn nginx_fastcgi_socket(mount: &str) -> Plan {
    let program = listening_on_socket(mount, "fastcgi");
    let block = block("nginx.md", "FastCGI over a Unix socket", 0);
    let server = filled(&block, mount, &program.addr("fastcgi"));
    other(WebServer::nginx().conf(&server), program)
}

pub(crate) fn nginx_scgi(mount: &str) -> Plan {
    nginx(mount, "SCGI", "scgi")
}

pub(crate) fn nginx_uwsgi(mount: &str) -> Plan {
    nginx(mount, "uwsgi", "uwsgi")
}

pub(crate) fn nginx_http(mount: &str) -> Plan {
    let program = behind_proxy(mount);
    let addr = program.addr("http");
    nginx_upstream(mount, "HTTP", program, &addr)
}

/// Starts the program by spawn-fcgi, behind nginx.
pub(crate) fn spawn_fcgi(mount: &str) -> Plan {
    let under = ["spawn-fcgi", "-n", "-s", "{root}/shop.sock", "-M", "0666", "--"];
    let program = way::start(way::program(mount).under(under));
    let addr = program.root().join("shop.sock").display().to_string();
    let server = filled(&block("nginx.md", "FastCGI over a Unix socket", 0), mount, &addr);
    other(WebServer::nginx().conf(&server), program)
}

fn lighttpd(mount: &str, heading: &str, protocol: &str) -> Plan {
    let program = listening(mount, protocol);
    let conf = filled(&block("lighttpd.md", heading, 0), mount, &program.addr(protocol));
    other(WebServer::lighttpd().conf(&conf), program)
}

pub(crate) fn lighttpd_fastcgi(mount: &str) -> Plan {
    lighttpd(mount, "mod_fastcgi", "fastcgi")
}

pub(crate) fn lighttpd_scgi(mount: &str) -> Plan {
    lighttpd(mount, "mod_scgi", "scgi")
}

pub(crate) fn lighttpd_uwsgi(mount: &str) -> Plan {
    lighttpd(mount, "mod_scgi with uwsgi", "uwsgi")
}

/// Returns a lighttpd that starts the program itself, with the files that it serves.
fn lighttpd_with_files(conf: &str) -> Plan {
    let server = WebServer::lighttpd().program("cgi-bin/shop", cgi_script()).conf(conf);
    let server =
        way::files().into_iter().fold(server, |server, (path, bytes)| server.program(&path, bytes));
    Plan { server: Planned::Other(server), program: None }
}

pub(crate) fn lighttpd_spawns(mount: &str) -> Plan {
    let command =
        format!("{} {}", program("{root}/cgi-bin"), way::options("{root}", mount).join(" "));
    let conf = block("lighttpd.md", "mod_fastcgi starts the program", 0)
        .replace("/usr/local/bin/shop --mount /shop=shop --option note=here", "{command}")
        .replace("/run/lighttpd/shop.sock", "{root}/tmp/program.sock")
        .replace("/shop", mount)
        .replace("{command}", &command);
    lighttpd_with_files(&conf)
}

pub(crate) fn lighttpd_cgi(mount: &str) -> Plan {
    lighttpd_with_files(&in_cgi_bin(&block("cgi.md", "lighttpd, mod_cgi", 0), mount))
}

/// Returns the script of cgi.md, with the probe's options.
fn cgi_script() -> String {
    // The server root is the parent of the script's folder.
    let options = way::options("${0%/*}/..", "/").join(" ");
    block("cgi.md", "", 0)
        .replace("'--mount /=shop --option note=here'", &format!("\"{options}\""))
        .replace("/usr/local/bin/shop", &program("${0%/*}"))
}

/// Returns the script of fcgid.md, with the probe's options.
fn fcgid_script(mount: &str) -> String {
    let options = way::options("${0%/*}/..", mount).join(" ");
    block("fcgid.md", "", 1)
        .replace("--mount /shop=shop --option note=here", &options)
        .replace("/usr/local/bin/shop", &program("${0%/*}"))
}

fn in_cgi_bin(block: &str, mount: &str) -> String {
    block
        .replace("/usr/lib/cgi-bin/shop", "{script}")
        .replace("/usr/lib/cgi-bin", "{root}/cgi-bin")
        .replace("/shop", mount)
        .replace("{script}", "{root}/cgi-bin/shop")
}

/// Returns the program's path in a configuration below `folder`, the server's `cgi-bin`.
///
/// A server without privileges may be unable to enter the build's folder; then there is a copy.
fn program(folder: &str) -> String {
    let path = way::program_path();
    if is_open_program(&path) { path.display().to_string() } else { format!("{folder}/program") }
}

fn httpd(modules: &[&'static str], mount: String, program: Option<Gateway>) -> Plan {
    let server =
        Httpd { mpm: Mpm::Event, modules: modules.to_vec(), main: "", mount, script: None };
    Plan { server: Planned::Httpd(server), program }
}

fn proxy(mount: &str, module: &'static str, heading: &str, protocol: &str) -> Plan {
    let program = listening(mount, protocol);
    let lines = filled(&block("httpd-proxy.md", heading, 0), mount, &program.addr(protocol));
    httpd(&["proxy", module, "env"], lines, Some(program))
}

pub(crate) fn proxy_fcgi(mount: &str) -> Plan {
    proxy(mount, "proxy_fcgi", "mod_proxy_fcgi", "fastcgi")
}

pub(crate) fn proxy_fcgi_socket(mount: &str) -> Plan {
    let program = listening_on_socket(mount, "fastcgi");
    let block = block("httpd-proxy.md", "mod_proxy_fcgi over a Unix socket", 0);
    let lines = filled(&block, mount, &program.addr("fastcgi"));
    httpd(&["proxy", "proxy_fcgi", "env"], lines, Some(program))
}

pub(crate) fn proxy_scgi(mount: &str) -> Plan {
    proxy(mount, "proxy_scgi", "mod_proxy_scgi", "scgi")
}

pub(crate) fn proxy_uwsgi(mount: &str) -> Plan {
    proxy(mount, "proxy_uwsgi", "mod_proxy_uwsgi", "uwsgi")
}

pub(crate) fn proxy_http(mount: &str) -> Plan {
    let program = behind_proxy(mount);
    let block = block("httpd-proxy.md", "mod_proxy_http", 0);
    let lines = filled(&block, mount, &program.addr("http"));
    httpd(&["proxy", "proxy_http", "headers"], lines, Some(program))
}

fn scripted(
    mpm: Mpm,
    module: &'static str,
    main: &'static str,
    lines: &str,
    script: String,
) -> Plan {
    let server = Httpd {
        mpm,
        modules: vec!["alias", "env", module],
        main,
        mount: lines.into(),
        script: Some(script),
    };
    Plan { server: Planned::Httpd(server), program: None }
}

pub(crate) fn fcgid(mount: &str) -> Plan {
    let main = "FcgidIPCDir {root}/run/fcgid\nFcgidProcessTableFile {root}/run/fcgid_shm";
    let lines = in_cgi_bin(&block("fcgid.md", "", 0), mount);
    scripted(Mpm::Event, "fcgid", main, &lines, fcgid_script(mount))
}

fn cgi(mount: &str, mpm: Mpm, module: &'static str, main: &'static str, script: String) -> Plan {
    let lines = in_cgi_bin(&block("cgi.md", "httpd, mod_cgid and mod_cgi", 0), mount);
    scripted(mpm, module, main, &lines, script)
}

pub(crate) fn cgid(mount: &str) -> Plan {
    cgi(mount, Mpm::Event, "cgid", "ScriptSock {root}/run/cgid", cgi_script())
}

pub(crate) fn cgi_prefork(mount: &str) -> Plan {
    cgi(mount, Mpm::Prefork, "cgi", "", cgi_script())
}

/// Runs the CGI program cgi-fcgi under mod_cgid, which calls the program over FastCGI.
pub(crate) fn cgi_fcgi(mount: &str) -> Plan {
    let program = listening(mount, "fastcgi");
    let script = block("spawn-fcgi.md", "cgi-fcgi", 0);
    let script = filled(&script, mount, &program.addr("fastcgi"));
    let plan = cgi(mount, Mpm::Event, "cgid", "ScriptSock {root}/run/cgid", script);
    Plan { program: Some(program), ..plan }
}

/// Runs the program's own HTTP without a web server.
pub(crate) fn http(mount: &str) -> Plan {
    Plan { server: Planned::None, program: Some(listening(mount, "http")) }
}
