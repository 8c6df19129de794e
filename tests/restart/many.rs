//! Many requests at the speed of h2load, each of which has to be answered with a 2xx. The soak test
//! sends them too.

use httpd_testkit::Server;

/// The requests: path, whether it has a body, and its share of a hundred requests.
pub(crate) const KINDS: [(&str, bool, u32); 5] = [
    ("/hello", false, 60),
    ("/probe/echo", true, 15),
    ("/probe/stream?chunks=3&size=300", false, 10),
    ("/probe/wait?ms=0", false, 10),
    ("/probe/environ", false, 5),
];

/// The applications at those paths. The access log of so many requests is discarded.
pub(crate) const CONF: &str =
    "RustAppAlias /hello hello\nRustAppAlias /probe probe\nCustomLog /dev/null \"%h\"";

/// The body of the requests that have one, below the server root.
pub(crate) const BODY: &str = "htdocs/body";

/// Sends a hundredth of `requests` for each hundredth of [`KINDS`].
///
/// # Panics
/// When one is not answered with a 2xx.
pub(crate) fn send(server: &Server, requests: u32, clients: u32) {
    for (path, with_body, share) in KINDS {
        let (url, clients) = (server.url(path), clients.to_string());
        let requests = (u64::from(requests) * u64::from(share) / 100).to_string();
        let body = server.root().join(BODY).display().to_string();
        let mut args = vec!["--h1", "-n", &*requests, "-c", &*clients, "-t", "1", &*url];
        if with_body {
            args.extend(["-d", &*body]);
        }
        let output = server.run("h2load", &args);
        let expected = format!("status codes: {requests} 2xx, 0 3xx, 0 4xx, 0 5xx");
        assert!(output.text().contains(&expected), "{path}: {output:?}");
    }
}
