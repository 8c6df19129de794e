//! The server: a virtual host with the probe and one with what it is compared with, for each way of
//! being configured. The two listen at the same port of different addresses, so that nothing that a
//! client sends tells them apart.

use httpd_testkit::{Builder, Server};

/// Prints the environment that it was given, untouched by the shell, each variable ended by NUL. It
/// reads its body, as mod_cgid waits for that.
const PROGRAM: &str = "#!/bin/sh\n\
     cat >/dev/null\n\
     printf 'Content-Type: application/octet-stream\\r\\n\\r\\n'\n\
     cat \"/proc/$$/environ\"\n";

/// The user `otto` with the password `secret`.
const PASSWORDS: &str = "otto:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n";

/// The gateway that the embedded probe is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Other {
    /// A CGI program under mod_cgid.
    Cgi,
    /// The probe in a process group.
    Daemon,
    /// The probe in a program of its own, which these lines pass requests on to.
    #[allow(dead_code, reason = "tests/gateways has it")]
    Gateway(&'static str),
}

impl Other {
    /// Returns the directive that mounts it at `/app`.
    const fn mount(self) -> &'static str {
        match self {
            Self::Cgi => "ScriptAlias /app {root}/cgi-bin/environ",
            Self::Daemon => "RustAppAlias /app probe process-group=environ",
            Self::Gateway(lines) => lines,
        }
    }
}

/// One way of being configured. Its host name is its name in small letters, with `.test`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Site {
    Plain,
    SlashesOn,
    SlashesNoDecode,
    Unmerged,
    Environment,
    Shadowed,
    Repeated,
    Crowded,
    Auth,
    PassAuth,
    CgiPassAuth,
    RemoteIp,
    Canonical,
    OriginalUri,
    Errors,
    Lookups,
    Signed,
    Headers,
    Fallback,
    Included,
}

impl Site {
    pub(crate) const ALL: &'static [Self] = &[
        // The first is the one for requests without a Host.
        Self::Plain,
        Self::SlashesOn,
        Self::SlashesNoDecode,
        Self::Unmerged,
        Self::Environment,
        Self::Shadowed,
        Self::Repeated,
        Self::Crowded,
        Self::Auth,
        Self::PassAuth,
        Self::CgiPassAuth,
        Self::RemoteIp,
        Self::Canonical,
        Self::OriginalUri,
        Self::Errors,
        Self::Lookups,
        Self::Signed,
        Self::Headers,
        Self::Fallback,
        Self::Included,
    ];

    pub(crate) fn host(self) -> String {
        format!("{self:?}.test").to_ascii_lowercase()
    }

    /// Returns the directives of both virtual hosts.
    const fn conf(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::SlashesOn => "AllowEncodedSlashes On",
            Self::SlashesNoDecode => "AllowEncodedSlashes NoDecode",
            Self::Unmerged => "MergeSlashes Off",
            Self::Environment => {
                "SetEnv PLAIN value\n\
                 SetEnv EMPTY\n\
                 SetEnv odd.name-1 value\n\
                 SetEnv 1DIGIT value\n\
                 SetEnv lower_case value\n\
                 SetEnv BYTES \"a\\xff\u{e4} b\"\n\
                 SetEnv GONE value\n\
                 UnsetEnv GONE\n\
                 PassEnv TESTKIT_PASSED\n\
                 SetEnvIf X-Set (.*) FROM_HEADER=$1\n\
                 SetEnvIfNoCase ^x-pre . first=1\n\
                 SetEnvIf Request_URI ^/app FROM_URI !NOT_SET\n\
                 BrowserMatch curl IS_CURL=yes\n\
                 RewriteEngine On\n\
                 RewriteRule ^/app/environ/rewritten - [E=REWRITTEN:yes,E=!PLAIN]\n\
                 RewriteRule ^/to/(.*) /app/environ/$1 [PT,QSA,E=CAME_FROM:$1]\n\
                 <Location /app/environ/inner>\nSetEnv PLAIN inner\nSetEnv INNER 1\n</Location>\n\
                 <If \"%{QUERY_STRING} =~ /if/\">\nSetEnv IN_IF 1\n</If>"
            }
            // Variables with names that the request has, or could have.
            Self::Shadowed => {
                "SetEnv CONTENT_TYPE set/type\n\
                 SetEnv CONTENT_LENGTH 99\n\
                 SetEnv QUERY_STRING set\n\
                 SetEnv REQUEST_METHOD SET\n\
                 SetEnv SERVER_PROTOCOL SET/1\n\
                 SetEnv PATH_TRANSLATED /set\n\
                 SetEnv SCRIPT_NAME /set\n\
                 SetEnv REMOTE_USER set\n\
                 SetEnv HTTP_X_SHADOW set\n\
                 SetEnv HTTP_X_ABSENT set\n\
                 SetEnv HTTP_PROXY set\n\
                 SetEnv HTTPS set\n\
                 SetEnv GATEWAY_INTERFACE set\n\
                 SetEnv http_accept small\n\
                 SetEnv Remote_Addr mixed\n\
                 SetEnvIf Authorization (.*) HTTP_AUTHORIZATION=$1"
            }
            // Names that come twice, and those that httpd takes from its own environment.
            Self::Repeated => {
                "SetEnvIf X-Set (.*) TWICE=$1\n\
                 SetEnv TWICE set\n\
                 SetEnvIf X-Set (.*) HTTP_X_BOTH=$1\n\
                 SetEnv HTTP_X_BOTH set\n\
                 SetEnv PATH /bin:/usr/bin\n\
                 SetEnvIf X-Set (.*) LD_LIBRARY_PATH=$1\n\
                 RequestHeader add X-Twice two"
            }
            // More variables than are told apart one by one.
            Self::Crowded => {
                "SetEnv A0 0\nSetEnv A1 1\nSetEnv A2 2\nSetEnv A3 3\nSetEnv A4 4\nSetEnv A5 5\n\
                 SetEnv A6 6\nSetEnv A7 7\nSetEnv A8 8\nSetEnv A9 9\nSetEnv B0 0\nSetEnv B1 1\n\
                 SetEnv B2 2\nSetEnv B3 3\nSetEnv B4 4\nSetEnv B5 5\nSetEnv B6 6\nSetEnv B7 7\n\
                 SetEnv B8 8\nSetEnv B9 9\nSetEnv C0 0\nSetEnv C1 1\nSetEnv C2 2\nSetEnv C3 3\n\
                 SetEnv C4 4\nSetEnv C5 5\nSetEnv C6 6\nSetEnv C7 7\nSetEnv C8 8\nSetEnv C9 9\n\
                 SetEnv D0 0\nSetEnv D1 1\nSetEnv D2 2\nSetEnv server_name set"
            }
            Self::Auth => {
                "<Location /app>\nAuthType Basic\nAuthName \"a realm\"\nAuthBasicProvider file\n\
                 AuthUserFile {root}/passwords\nRequire valid-user\n</Location>"
            }
            Self::PassAuth => "",
            Self::CgiPassAuth => "<Location />\nCGIPassAuth On\n</Location>",
            Self::RemoteIp => {
                "RemoteIPHeader X-Forwarded-For\nRemoteIPInternalProxy 127.0.0.0/8\n\
                 RemoteIPTrustedProxy 192.0.2.0/24\nRemoteIPProxiesHeader X-Proxies"
            }
            Self::Canonical => {
                "ServerAlias alias.test\nUseCanonicalName On\nUseCanonicalPhysicalPort Off"
            }
            Self::OriginalUri => {
                "RewriteEngine On\nRewriteRule ^/old/(.*) /app/environ/$1 [PT]\n\
                 Alias /plain {root}/htdocs\n\
                 <Location /app>\nCGIVar REQUEST_URI original-uri\n</Location>"
            }
            Self::Errors => {
                "ErrorDocument 404 /app/environ/404?why=missing\n\
                 ErrorDocument 403 /app/environ/403\n\
                 ErrorDocument 401 /app/environ/401\n\
                 <Location /forbidden>\nRequire all denied\n</Location>\n\
                 <Location /private>\nAuthType Basic\nAuthName r\nAuthBasicProvider file\n\
                 AuthUserFile {root}/passwords\nRequire valid-user\n</Location>"
            }
            Self::Lookups => "HostnameLookups On",
            Self::Signed => {
                "ServerSignature EMail\nServerAdmin \"web master@example.test\"\n\
                 AddDefaultCharset utf-8"
            }
            Self::Headers => {
                "RequestHeader set X-Set set early\nRequestHeader append X-Append more\n\
                 RequestHeader unset X-Unset early\nRequestHeader edit X-Edit a b\n\
                 RequestHeader add X-Add two\nRequestHeader merge X-Merge m\n\
                 RequestHeader set Content-Type over/ridden"
            }
            Self::Fallback => {
                "FallbackResource /app/environ/fallback\n\
                 <Location /index/>\nDirectoryIndex /app/environ/index\n</Location>"
            }
            Self::Included => "AddOutputFilter INCLUDES .shtml",
        }
    }

    /// Returns the probe's directives, and the other's instead of them.
    const fn own(self, other: Other) -> [&'static str; 2] {
        const PASS: &str = "RustPassAuthorization On";
        match (self, other) {
            (Self::PassAuth, Other::Cgi | Other::Gateway(_)) => {
                [PASS, "<Location />\nCGIPassAuth On\n</Location>"]
            }
            (Self::PassAuth, Other::Daemon) => [PASS, PASS],
            _ => ["", ""],
        }
    }
}

/// The addresses of the probe and of the other.
pub(crate) const ADDRESSES: [&str; 2] = ["127.0.0.1", "127.0.0.2"];

/// The mount of the embedded probe at `/app`.
const MOUNT: &str = "RustAppAlias /app probe";

/// Starts the server, with TLS and HTTP/2.
pub(crate) fn start(other: Other) -> Server {
    start_with(other, &["cgid"], |builder| builder.conf("ScriptSock {root}/run/cgid"))
}

/// Starts the servers as [`start`] does, with more modules and the directives `more`.
pub(crate) fn start_with(
    other: Other,
    modules: &[&str],
    more: impl FnOnce(Builder) -> Builder,
) -> Server {
    // With worker and event; prefork has no HTTP/2.
    let mut builder = Server::builder()
        .mpm(httpd_testkit::Mpm::Event)
        .tls(true)
        .http2(true)
        .module("mod_rust.so")
        .program("cgi-bin/environ", PROGRAM)
        .file("passwords", PASSWORDS)
        .file("htdocs/there.txt", "there")
        .file("htdocs/index/nothing.txt", "nothing")
        .file("htdocs/page.shtml", "<!--#include virtual=\"/app/environ/included?q=1\" -->")
        .env("TESTKIT_PASSED", "passed on");
    for name in [
        "alias",
        "env",
        "setenvif",
        "rewrite",
        "unique_id",
        "remoteip",
        "headers",
        "dir",
        "include",
        "auth_basic",
        "authn_core",
        "authn_file",
        "authz_user",
        "authz_host",
    ] {
        builder = builder.load(name);
    }
    builder = modules.iter().fold(builder, |builder, module| builder.load(module));
    more(builder)
        .conf("Listen 127.0.0.2:{port}\nListen 127.0.0.2:{tls_port} https")
        .conf("<Directory {root}/cgi-bin>\nRequire all granted\n</Directory>")
        .conf("<Directory {htdocs}>\nOptions +Includes\n</Directory>")
        .conf(if other == Other::Daemon { "RustDaemonProcess environ processes=2" } else { "" })
        .with_sites(other)
        .with_tls(other)
        .with_ipv6(other)
        .start()
}

trait Hosts {
    fn with_sites(self, other: Other) -> Self;
    fn with_tls(self, other: Other) -> Self;
    fn with_ipv6(self, other: Other) -> Self;
}

impl Hosts for Builder {
    fn with_sites(mut self, other: Other) -> Self {
        for site in Site::ALL {
            let name = match site {
                Site::Canonical => "http://canonical.test:8765".into(),
                site => site.host(),
            };
            for ((address, mount), own) in
                std::iter::zip(std::iter::zip(ADDRESSES, [MOUNT, other.mount()]), site.own(other))
            {
                let conf = site.conf();
                self = self.conf(&format!(
                    "<VirtualHost {address}:{{port}}>\nServerName {name}\n{mount}\n{conf}\n{own}\n\
                     </VirtualHost>"
                ));
            }
        }
        self
    }

    fn with_tls(self, other: Other) -> Self {
        let options = "SSLOptions +StdEnvVars +ExportCertData";
        let other = other.mount();
        self.tls_conf(MOUNT).tls_conf(options).conf(&format!(
            "<VirtualHost 127.0.0.2:{{tls_port}}>\nServerName localhost\nSSLEngine on\n\
             SSLCertificateFile {{root}}/run/tls.crt\nSSLCertificateKeyFile {{root}}/run/tls.key\n\
             {other}\n{options}\n</VirtualHost>"
        ))
    }

    /// Adds IPv6. The machine has one local IPv6 address, so the two differ in their ports.
    fn with_ipv6(mut self, other: Other) -> Self {
        if !has_ipv6() {
            return self;
        }
        for (port, mount) in std::iter::zip(["{port}", "{tls_port}"], [MOUNT, other.mount()]) {
            self = self.conf(&format!(
                "Listen [::1]:{port} http\n<VirtualHost [::1]:{port}>\nServerName six.test\n{mount}\n\
                 </VirtualHost>"
            ));
        }
        self
    }
}

/// Returns whether this machine has IPv6: some containers do not.
pub(crate) fn has_ipv6() -> bool {
    std::net::TcpListener::bind("[::1]:0").is_ok()
}
