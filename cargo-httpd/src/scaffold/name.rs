//! The name of a new project: of its crate, its module, its application and its mount point.

use std::str::FromStr;

use anyhow::{Error, Result, bail};

/// Checked: it can be all of these at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name(String);

const ALLOWED: &str = "2 to 40 small letters, digits, - and _, with a letter first, such as shop";

/// Rust's keywords, and what the compiler or cargo has crates of that name for.
const RUSTS: &[&str] = &[
    "abstract",
    "alloc",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "build",
    "const",
    "continue",
    "core",
    "crate",
    "deps",
    "do",
    "dyn",
    "else",
    "enum",
    "examples",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "in",
    "incremental",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "override",
    "priv",
    "proc-macro",
    "pub",
    "ref",
    "return",
    "self",
    "static",
    "std",
    "struct",
    "super",
    "test",
    "trait",
    "true",
    "try",
    "type",
    "typeof",
    "unsafe",
    "unsized",
    "use",
    "virtual",
    "where",
    "while",
    "yield",
];

/// Crates that a new project is made with.
const CRATES: &[&str] = &["axum", "httpd-testkit", "mod-rust", "serde", "serde-json", "tracing"];

/// The modules of httpd 2.4 and those that are often beside them: two of one name do not load.
const HTTPDS: &[&str] = &[
    "access-compat",
    "actions",
    "alias",
    "allowmethods",
    "asis",
    "auth-basic",
    "auth-digest",
    "auth-form",
    "authn-anon",
    "authn-core",
    "authn-dbd",
    "authn-dbm",
    "authn-file",
    "authn-socache",
    "authnz-fcgi",
    "authnz-ldap",
    "authz-core",
    "authz-dbd",
    "authz-dbm",
    "authz-groupfile",
    "authz-host",
    "authz-owner",
    "authz-user",
    "autoindex",
    "brotli",
    "bucketeer",
    "buffer",
    "cache",
    "cache-disk",
    "cache-socache",
    "case-filter",
    "case-filter-in",
    "cern-meta",
    "cgi",
    "cgid",
    "charset-lite",
    "data",
    "dav",
    "dav-fs",
    "dav-lock",
    "dbd",
    "deflate",
    "dialup",
    "dir",
    "dumpio",
    "echo",
    "env",
    "event",
    "example-hooks",
    "expires",
    "ext-filter",
    "fcgid",
    "file-cache",
    "filter",
    "headers",
    "heartbeat",
    "heartmonitor",
    "http",
    "http2",
    "httpd",
    "ident",
    "imagemap",
    "include",
    "info",
    "isapi",
    "jk",
    "lbmethod-bybusyness",
    "lbmethod-byrequests",
    "lbmethod-bytraffic",
    "lbmethod-heartbeat",
    "ldap",
    "log-config",
    "log-debug",
    "log-forensic",
    "logio",
    "lua",
    "macro",
    "md",
    "mime",
    "mime-magic",
    "mpm-event",
    "mpm-prefork",
    "mpm-worker",
    "negotiation",
    "passenger",
    "perl",
    "php",
    "policy",
    "prefork",
    "privileges",
    "proxy",
    "proxy-ajp",
    "proxy-balancer",
    "proxy-connect",
    "proxy-express",
    "proxy-fcgi",
    "proxy-fdpass",
    "proxy-ftp",
    "proxy-hcheck",
    "proxy-html",
    "proxy-http",
    "proxy-http2",
    "proxy-scgi",
    "proxy-uwsgi",
    "proxy-wstunnel",
    "python",
    "qos",
    "ratelimit",
    "reflector",
    "remoteip",
    "reqtimeout",
    "request",
    "rewrite",
    "rust",
    "security2",
    "sed",
    "session",
    "session-cookie",
    "session-crypto",
    "session-dbd",
    "setenvif",
    "slotmem-plain",
    "slotmem-shm",
    "so",
    "socache-dbm",
    "socache-dc",
    "socache-memcache",
    "socache-redis",
    "socache-shmcb",
    "speling",
    "ssl",
    "status",
    "substitute",
    "suexec",
    "systemd",
    "tls",
    "unique-id",
    "unixd",
    "userdir",
    "usertrack",
    "version",
    "vhost-alias",
    "watchdog",
    "worker",
    "wsgi",
    "xml2enc",
];

impl FromStr for Name {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        if !(2..=40).contains(&text.len())
            || !text.chars().all(plain)
            || !text.starts_with(|c: char| c.is_ascii_lowercase())
            || text.ends_with(['-', '_'])
        {
            bail!("project name \"{text}\": not usable; expected {ALLOWED}");
        }
        let same = text.replace('_', "-");
        let taken = |names: &[&str]| names.binary_search(&same.as_str()).is_ok();
        if taken(RUSTS) {
            bail!("project name \"{text}\": reserved by Rust; expected {ALLOWED}");
        }
        if taken(CRATES) {
            bail!("project name \"{text}\": a crate of that name is in use; choose another");
        }
        if taken(HTTPDS) {
            let module = same.replace('-', "_");
            bail!(
                "project name \"{text}\": httpd has a module mod_{module} and does not load two of \
                 one name; choose another"
            );
        }
        if ["module", "so"].contains(&same.rsplit('-').next().unwrap_or_default()) {
            bail!(
                "project name \"{text}\": its module would be called {}_module; leave the \
                 last word out",
                same.replace('-', "_")
            );
        }
        Ok(Self(text.to_owned()))
    }
}

impl Name {
    /// `my-shop`, as it was given: the package, the application, the mount point.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// `my_shop`: the crate, and the module `my_shop_module`.
    pub(crate) fn ident(&self) -> String {
        self.0.replace('-', "_")
    }

    /// `MY_SHOP`.
    pub(crate) fn upper(&self) -> String {
        self.ident().to_uppercase()
    }

    /// `MyShop`, for directives.
    pub(crate) fn camel(&self) -> String {
        let words = self.0.split(['-', '_']).filter(|word| !word.is_empty());
        words.map(|word| word[..1].to_uppercase() + &word[1..]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_ones() {
        for name in ["shop", "my-shop", "my_shop2", "x1"] {
            assert_eq!(name.parse::<Name>().unwrap().as_str(), name);
        }
        let name: Name = "my-little_shop".parse().unwrap();
        assert_eq!(name.ident(), "my_little_shop");
        assert_eq!(name.upper(), "MY_LITTLE_SHOP");
        assert_eq!(name.camel(), "MyLittleShop");
    }

    #[test]
    fn bad_names_get_the_allowed_ones() {
        let long = "x".repeat(41);
        for name in ["", "x", "Shop", "1shop", "shop-", "-shop", "a shop", "läden", "a/b", &long] {
            let error = name.parse::<Name>().unwrap_err().to_string();
            assert!(error.ends_with(ALLOWED), "{error}");
        }
    }

    #[test]
    fn names_that_others_have() {
        let why = |name: &str| name.parse::<Name>().unwrap_err().to_string();
        assert!(why("struct").contains("reserved by Rust"));
        assert!(why("proc_macro").contains("reserved by Rust"));
        assert!(why("axum").contains("a crate of that name"));
        assert!(why("mod_rust").contains("a crate of that name"));
        assert!(why("proxy-fcgi").contains("a module mod_proxy_fcgi"));
        assert!(why("rust").contains("a module mod_rust"));
        assert!(why("my-module").contains("would be called my_module_module"));
        assert!(why("module").contains("would be called module_module"));
    }

    #[test]
    fn the_lists_can_be_searched() {
        for list in [RUSTS, CRATES, HTTPDS] {
            assert!(list.is_sorted());
        }
    }

    #[test]
    fn this_machines_modules_are_known() {
        let httpd = httpd_config::Httpd::locate().unwrap();
        for name in httpd.static_modules() {
            let Some(name) = name.strip_prefix("mod_").and_then(|name| name.strip_suffix(".c"))
            else {
                continue;
            };
            assert!(name.parse::<Name>().is_err(), "{name}");
        }
    }
}
