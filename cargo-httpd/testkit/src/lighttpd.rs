//! lighttpd's configuration: as little as a server needs, then what the test asks for.

use crate::web_server::{PID, SCRATCH, WebServerBuilder};

/// Returns the whole lighttpd.conf, with the kit's placeholders in it. It names no error log, which
/// lighttpd would open when it has dropped its privileges: standard error is one.
pub(crate) fn text(builder: &WebServerBuilder, account: Option<(&str, &str)>) -> String {
    let user = account.map(|(user, group)| {
        format!("server.username = \"{user}\"\nserver.groupname = \"{group}\"\n")
    });
    format!(
        "server.document-root = \"{{htdocs}}\"\nserver.bind = \"127.0.0.1\"\n\
         server.port = {{port}}\nserver.pid-file = \"{{root}}/{PID}\"\n\
         server.upload-dirs = ( \"{{root}}/{SCRATCH}\" )\n\
         server.max-keep-alive-requests = 100000\n\
         mimetype.assign = ( \".html\" => \"text/html\", \".txt\" => \"text/plain\" )\n\
         {user}{outer}{conf}",
        user = user.unwrap_or_default(),
        outer = builder.outer,
        conf = builder.conf,
    )
}
