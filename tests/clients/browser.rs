//! A real browser with the page of the example `live`: a WebSocket and an event stream.

use httpd_testkit::{Mpm, is_wanted};

use crate::chromium::{Browser, Page};
use crate::sites::{Mode, Site};

/// Says `text` through the WebSocket, until both lists of the page show it.
fn says(site: &Site, page: &mut Page<'_>, text: &str) {
    let says = format!(
        "(() => {{
            const shows = id => [...document.querySelectorAll(`#${{id}} li`)]
                .some(line => line.textContent === '{text}');
            if (shows('chat') && shows('events')) return true;
            document.forms[0].elements.text.value = '{text}';
            document.forms[0].requestSubmit();
            return false;
        }})()"
    );
    site.wait_for(&format!("`{text}` in both lists"), || page.ask(&says) == true);
}

/// Checks that the page joins again, without being loaded again, after each graceful restart.
fn a_page_outlasts_restarts(mode: Mode) {
    let site = Site::start(mode, "live", "mod_live.so", "live-gateway");
    let Some(mut browser) = Browser::start(site.folder()) else { return };
    let mut page = browser.open(&site.url("http", "/live/"));
    site.wait_for("the page", || page.ask("document.title === 'Live'") == true);
    page.ask("window.isTheSame = true");
    says(&site, &mut page, "before");
    for round in 1..=3 {
        site.restart();
        says(&site, &mut page, &format!("after restart {round}"));
    }
    assert_eq!(page.ask("window.isTheSame"), true, "the page was loaded again");
    let state = "['state', 'feed'].map(id => document.getElementById(id).value).join()";
    assert_eq!(page.ask(state), "joined,joined");
}

fn in_httpd(mode: fn(Mpm) -> Mode, mpm: Mpm) {
    if is_wanted(mpm) {
        a_page_outlasts_restarts(mode(mpm));
    }
}

#[test]
fn embedded_event() {
    in_httpd(Mode::Embedded, Mpm::Event);
}

#[test]
fn embedded_worker() {
    in_httpd(Mode::Embedded, Mpm::Worker);
}

#[test]
fn tls_event() {
    in_httpd(Mode::Tls, Mpm::Event);
}

#[test]
fn daemon_event() {
    in_httpd(Mode::Daemon, Mpm::Event);
}

#[test]
fn program() {
    a_page_outlasts_restarts(Mode::Program);
}
