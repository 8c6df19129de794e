//! nginx's configuration: as little as a server needs, then what the test asks for.

use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::root::Root;
use crate::web_server::{ERROR_LOG, PID, WebServerBuilder};

/// Returns the whole nginx.conf, with the kit's placeholders in it.
pub(crate) fn text(builder: &WebServerBuilder, account: Option<(&str, &str)>) -> String {
    let user = account.map(|(user, group)| format!("user {user} {group};\n")).unwrap_or_default();
    let temporary = ["client_body", "proxy", "fastcgi", "scgi", "uwsgi"]
        .map(|name| format!("    {name}_temp_path {{root}}/run/{name};\n"))
        .concat();
    format!(
        "daemon off;\n{user}pid {{root}}/{PID};\nerror_log {{root}}/{ERROR_LOG} info;\n\
         worker_processes 1;\n\
         events {{\n    worker_connections 4096;\n}}\n\
         http {{\n    access_log {{root}}/access_log;\n{temporary}    types {{\n        \
         text/html html;\n        text/plain txt;\n    }}\n    keepalive_requests 100000;\n\
         {outer}    server {{\n        listen 127.0.0.1:{{port}};\n        server_name localhost;\n        \
         root {{htdocs}};\n{conf}    }}\n}}\n",
        outer = builder.outer,
        conf = builder.conf,
    )
}

/// Puts the files that `include fastcgi_params` and its like name beside the configuration: those
/// of the system's nginx.
pub(crate) fn write_parameters(root: &Root) -> io::Result<()> {
    let Some(folder) = folder() else { return Ok(()) };
    for name in ["fastcgi_params", "fastcgi.conf", "scgi_params", "uwsgi_params", "proxy_params"] {
        if let Ok(bytes) = fs::read(folder.join(name)) {
            root.write(name, &bytes, 0o644)?;
        }
    }
    Ok(())
}

fn folder() -> Option<PathBuf> {
    let known = ["/etc/nginx", "/usr/local/nginx/conf", "/usr/local/etc/nginx"].map(Path::new);
    known.into_iter().find(|folder| folder.join("fastcgi_params").is_file()).map(Path::to_owned)
}
