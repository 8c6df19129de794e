//! The cases against a process group of the stock module, under each MPM: the same answers, and the
//! same records in the log, as embedded mode gives.

use httpd_testkit::{Builder, Server, mpm_tests};

use crate::embedded::Embedded;
use crate::{cases, driver};

/// Returns [`Embedded::builder`] with all its mounts in a process group.
pub(crate) fn builder() -> Builder {
    Embedded::builder()
        .conf("RustDaemonProcess conformance processes=2 threads=5")
        .conf("RustProcessGroup conformance")
}

/// Returns the processes of the group, including the spare one.
pub(crate) fn processes(server: &Server) -> Vec<i32> {
    server.group("conformance").pids()
}

/// Fails unless a daemon process answers.
pub(crate) fn must_answer(server: &Server) {
    let environ = server.get("/probe/environ");
    for expected in ["\"mod_rust.mode\": \"daemon\"", "\"mod_rust.process_group\": \"conformance\""]
    {
        assert!(environ.text().contains(expected), "{environ:?}");
    }
}

mpm_tests! {
    fn daemon(mpm) {
        let target = Embedded::start(builder().mpm(mpm));
        must_answer(&target.server);
        // Two that serve, and the one in reserve.
        target.server.wait_for("three daemon processes", || processes(&target.server).len() == 3);
        let (children, daemons) = (target.server.children_pids(), processes(&target.server));
        driver::run(&target, &cases::all());
        // The processes outlive all failures of their applications.
        assert_eq!(processes(&target.server), daemons);
        assert_eq!(target.server.children_pids(), children);
    }
}
