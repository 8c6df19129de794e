//! Laterite's administration: accounts, sessions, uploads, SQLite.

use std::thread;

use httpd_testkit::{Mpm, Response};
use serde_json::{Value, json};

use crate::site::{Application, Folder, Mode, Site, in_every_mode};

in_every_mode! {
    a_user_signs_in
    sessions_are_every_process_s
    uploads
    what_is_wrong_is_refused
    many_write_at_once
    a_restart_keeps_everything
}

fn start(folder: &Folder, mode: Mode, mpm: Mpm) -> Site {
    // Its links are absolute, and begin with /admin and /storage.
    Application::new("office", "/")
        .option("folder", folder.path().display().to_string())
        .option("secret", "of this test alone")
        .processes(2)
        .start(mode, mpm)
}

const PASSWORD: &str = "correct horse battery";
const BOUNDARY: &str = "------------------------b0undary";

/// A signed-in client.
struct Clerk<'s> {
    site: &'s Site,
    cookie: String,
    csrf: String,
}

fn cookie(response: &Response) -> Option<&str> {
    let set = response.headers("set-cookie");
    let session = set.into_iter().find(|value| value.starts_with("laterite_session="))?;
    assert!(session.contains("HttpOnly") && session.contains("Path=/"), "{session}");
    session.split(';').next()
}

fn form(site: &Site, path: &str, fields: &str) -> Response {
    let request = site.request("POST", path).header("Sec-Fetch-Site", "same-origin");
    let request = request.header("Content-Type", "application/x-www-form-urlencoded");
    request.body(fields).send()
}

/// Makes the first account on the page that Laterite has for a new installation.
fn set_up(site: &Site) {
    let away = site.get("/admin");
    assert!((300..400).contains(&away.status), "{away:?}");
    let to_setup = site.get("/admin/login");
    assert_eq!(to_setup.header("location"), Some("/admin/setup"), "{to_setup:?}");
    let fields = format!(
        "username=root&first_name=R&last_name=&email=root%40example.org&timezone=UTC&password={}",
        PASSWORD.replace(' ', "+")
    );
    let made = form(site, "/admin/setup", &fields);
    assert_eq!((made.status, made.header("location")), (303, Some("/admin")), "{made:?}");
    assert!(cookie(&made).is_some(), "{made:?}");
}

impl<'s> Clerk<'s> {
    /// Signs in as Laterite's own scripts do.
    fn new(site: &'s Site) -> Self {
        let request = site.request("POST", "/admin/login").header("X-Requested-With", "fetch");
        let request = request.header("Sec-Fetch-Site", "same-origin");
        let request = request.header("Content-Type", "application/x-www-form-urlencoded");
        let fields = format!("username=root&password={}", PASSWORD.replace(' ', "+"));
        let response = request.body(fields).send();
        assert_eq!(response.status, 200, "{response:?}");
        let answer: Value = serde_json::from_slice(&response.body).expect("JSON");
        let csrf = answer["csrf"].as_str().expect("a token").to_owned();
        Self { site, cookie: cookie(&response).expect("a session").to_owned(), csrf }
    }

    fn get(&self, path: &str) -> Response {
        self.site.request("GET", path).header("Cookie", &self.cookie).send()
    }

    fn post(&self, path: &str, content_type: &str, body: Vec<u8>, in_chunks: bool) -> Response {
        let request = self.site.request("POST", path);
        let request = request
            .header("Cookie", &self.cookie)
            .header("Sec-Fetch-Site", "same-origin")
            .header("X-Requested-With", "fetch")
            .header("X-CSRF-Token", &self.csrf)
            .header("Content-Type", content_type);
        if in_chunks {
            let chunks: Vec<_> = body.chunks(50_000).map(<[u8]>::to_vec).collect();
            request.chunks(chunks).send()
        } else {
            request.body(body).send()
        }
    }

    fn form(&self, path: &str, fields: &str) -> Response {
        self.post(path, "application/x-www-form-urlencoded", fields.into(), false)
    }

    /// Uploads a file and returns Laterite's reply.
    fn upload(&self, name: &str, bytes: &[u8], in_chunks: bool) -> Value {
        let content_type = format!("multipart/form-data; boundary={BOUNDARY}");
        let body = multipart(name, bytes);
        let response = self.post("/admin/media/upload", &content_type, body, in_chunks);
        assert_eq!(response.status, 200, "{response:?}");
        serde_json::from_slice(&response.body).expect("JSON")
    }

    /// Returns the URL of the file in `answer`.
    fn url(&self, answer: &Value) -> String {
        assert_eq!(answer["refused"], json!([]), "{answer}");
        answer["stored"][0]["url"].as_str().expect("a URL").to_owned()
    }
}

fn multipart(name: &str, bytes: &[u8]) -> Vec<u8> {
    let head = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n"
    );
    [head.as_bytes(), bytes, format!("\r\n--{BOUNDARY}--\r\n").as_bytes()].concat()
}

fn bytes(count: usize, seed: usize) -> Vec<u8> {
    (0..count).map(|at| ((at + seed) % 251) as u8).collect()
}

fn a_user_signs_in(mode: Mode, mpm: Mpm) {
    let folder = Folder::new();
    let site = start(&folder, mode, mpm);
    set_up(&site);
    let again = form(&site, "/admin/setup", "username=x");
    assert!(again.status >= 300, "a second set-up: {again:?}");

    let wrong = form(&site, "/admin/login", "username=root&password=wrong");
    assert_eq!((wrong.status, cookie(&wrong)), (200, None), "{wrong:?}");
    assert!(wrong.text().contains("Invalid username or password"), "{wrong:?}");

    let fields = format!("username=root&password={}", PASSWORD.replace(' ', "+"));
    let right = form(&site, "/admin/login", &fields);
    assert_eq!((right.status, right.header("location")), (303, Some("/admin")), "{right:?}");
    let clerk = Clerk::new(&site);
    let desk = clerk.get("/admin");
    assert_eq!(desk.status, 200, "{desk:?}");
    assert!(desk.text().contains("Office") && desk.text().contains("Sign out"), "{desk:?}");

    // The server records the address of a sign-in, not the address in a header.
    let log = clerk.get("/admin/access-log");
    assert_eq!(log.status, 200, "{log:?}");
    assert!(log.text().contains("127.0.0.1"), "{log:?}");

    let out = clerk.form("/admin/logout", "");
    assert_eq!((out.status, out.header("location")), (303, Some("/admin/login")), "{out:?}");
    assert!((300..400).contains(&clerk.get("/admin").status));
}

/// Checks that a session is in the database, so that every process knows it.
fn sessions_are_every_process_s(mode: Mode, mpm: Mpm) {
    let folder = Folder::new();
    let site = start(&folder, mode, mpm);
    set_up(&site);
    let clerk = Clerk::new(&site);
    let served = site.count_processes("office", "GET /admin/media ");
    site.wait_for("requests in two processes", || {
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let page = clerk.get("/admin/media");
                    assert_eq!(page.status, 200, "{page:?}");
                });
            }
        });
        served() > 1
    });
}

fn uploads(mode: Mode, mpm: Mpm) {
    let folder = Folder::new();
    let site = start(&folder, mode, mpm);
    set_up(&site);
    let clerk = Clerk::new(&site);
    for (name, count, in_chunks) in
        [("small.txt", 5, false), ("plain.zip", 7 << 20, false), ("chunked.zip", 9 << 20, true)]
    {
        let sent = bytes(count, name.len());
        let answer = clerk.upload(name, &sent, in_chunks);
        let url = clerk.url(&answer);
        let mut got = Vec::new();
        let response = site.request("GET", &url).send_with(|piece| got.extend_from_slice(piece));
        assert_eq!((response.status, got == sent), (200, true), "{url}: {response:?}");
        let tag = response.header("etag").expect("an ETag").to_owned();
        let again = site.request("GET", &url).header("If-None-Match", tag).send();
        assert_eq!(again.status, 304, "{again:?}");
    }
    let listed = clerk.get("/admin/media");
    for name in ["small.txt", "plain.zip", "chunked.zip"] {
        assert!(listed.text().contains(name), "{name}: {listed:?}");
    }
}

fn what_is_wrong_is_refused(mode: Mode, mpm: Mpm) {
    let folder = Folder::new();
    let site = start(&folder, mode, mpm);
    set_up(&site);
    let clerk = Clerk::new(&site);
    let content_type = format!("multipart/form-data; boundary={BOUNDARY}");
    let body = multipart("a.txt", b"text");

    let page = clerk.upload("page.html", b"<script>", false);
    assert_eq!((&page["stored"], &page["refused"][0]["name"]), (&json!([]), &json!("page.html")));

    // Without a session, without a token, from elsewhere, and not as a form.
    let stranger = site.request("POST", "/admin/media/upload");
    let stranger = stranger.header("Sec-Fetch-Site", "same-origin");
    let stranger = stranger.header("Content-Type", &content_type).body(body.clone()).send();
    assert!((300..500).contains(&stranger.status), "{stranger:?}");
    let forged = Clerk { site: &site, cookie: clerk.cookie.clone(), csrf: "guess".to_owned() };
    let forged = forged.post("/admin/media/upload", &content_type, body.clone(), false);
    assert!((400..500).contains(&forged.status), "{forged:?}");
    let elsewhere = site.request("POST", "/admin/media/upload").header("Cookie", &clerk.cookie);
    let elsewhere = elsewhere.header("Origin", "http://elsewhere.example").body(body);
    assert_eq!(elsewhere.header("Content-Type", &content_type).send().status, 403);
    let odd = clerk.post("/admin/media/upload", "text/plain", b"no form".to_vec(), false);
    assert!((400..500).contains(&odd.status), "{odd:?}");

    assert_eq!(clerk.get("/admin/nothing").status, 404);
    assert_eq!(site.get("/storage/media/0000/nothing.txt").status, 404);
    assert!(clerk.get("/admin/media").text().contains("No files here yet."));
}

fn many_write_at_once(mode: Mode, mpm: Mpm) {
    let folder = Folder::new();
    let site = start(&folder, mode, mpm);
    set_up(&site);
    let clerk = Clerk::new(&site);
    let urls: Vec<(usize, String)> = thread::scope(|scope| {
        let tasks: Vec<_> = (0..4_usize)
            .map(|task| {
                let clerk = &clerk;
                scope.spawn(move || {
                    let upload = |round: usize| {
                        let seed = task * 10 + round;
                        let name = format!("file-{seed}.txt");
                        let answer = clerk.upload(&name, &bytes(100_000, seed), false);
                        (seed, clerk.url(&answer))
                    };
                    (0..5).map(upload).collect::<Vec<_>>()
                })
            })
            .collect();
        tasks.into_iter().flat_map(|task| task.join().expect("every upload is stored")).collect()
    });
    assert_eq!(urls.len(), 20);
    for (seed, url) in &urls {
        assert!(site.get(url).body == bytes(100_000, *seed), "{url}");
    }
    assert!(clerk.get("/admin/media").text().contains("20 file(s)"));
}

/// Checks a graceful restart, and another server with the same data.
fn a_restart_keeps_everything(mode: Mode, mpm: Mpm) {
    let folder = Folder::new();
    let site = start(&folder, mode, mpm);
    set_up(&site);
    let clerk = Clerk::new(&site);
    let sent = bytes(300_000, 1);
    let url = clerk.url(&clerk.upload("kept.zip", &sent, false));
    let check = |clerk: &Clerk<'_>| {
        assert!(clerk.get("/admin/media").text().contains("kept.zip"));
        assert!(clerk.site.get(&url).body == sent);
        // A token from before the restart is valid after it.
        let made = clerk.form("/admin/media/folders", "name=Made");
        assert_eq!(made.status, 303, "{made:?}");
    };
    site.restart();
    check(&clerk);
    let Clerk { cookie, csrf, .. } = clerk;
    site.stop();
    let site = start(&folder, mode, mpm);
    check(&Clerk { site: &site, cookie, csrf });
}
