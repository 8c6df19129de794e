//! The end of an exchange in httpd: what the client sees, and the log line that says why.

use super::exchange::RequestExchange;
use crate::gateway::{Error, ErrorKind, Outcome};
use crate::httpd::{HookStatus, Request, log};

/// Makes of an application's outcome what httpd's handler answers.
pub(crate) fn conclude<'r>(
    request: &Request<'r>,
    exchange: &RequestExchange<'_, 'r>,
    is_unread: bool,
    outcome: Outcome,
) -> HookStatus {
    let name = exchange.application();
    match outcome {
        Outcome::Complete => {
            // The client waits for an answer while it still sends: do not keep it back until it
            // has sent all.
            if is_unread {
                exchange.flush_end();
            }
            HookStatus::Ok
        }
        Outcome::Status(status) if exchange.answer_condition(status) => {
            if is_unread {
                exchange.flush_end();
            }
            HookStatus::Ok
        }
        Outcome::Status(status) => {
            exchange.withdraw();
            HookStatus::Http(status)
        }
        Outcome::Redirect(target) => {
            // The redirect changes the request that the environ is a view of.
            exchange.end_sharing();
            if is_unread {
                // The redirected request has no body, so nobody would get this one out of the way
                // of the next request.
                request.close_after();
            }
            request.internal_redirect(target.as_bytes());
            HookStatus::Ok
        }
        Outcome::Failed(_) | Outcome::Broken(_) if exchange.is_answered() => HookStatus::Ok,
        Outcome::Failed(error) | Outcome::Broken(error) if !exchange.has_begun() => {
            let status = error.status();
            let what = format!("answering {}", status.as_u16());
            exchange.withdraw();
            if error.kind() == ErrorKind::ClientGone {
                exchange.part();
                report(request, name, &error, &what);
                return HookStatus::Ok;
            }
            if is_unread {
                // Else httpd waits for the rest of the body before it answers (a 504, say), and
                // answers 408 where that does not come.
                request.close_after();
            }
            report(request, name, &error, &what);
            HookStatus::Http(status)
        }
        Outcome::Failed(error) | Outcome::Broken(error) => {
            if error.kind() == ErrorKind::ClientGone {
                exchange.part();
            } else {
                exchange.break_off();
            }
            report(request, name, &error, "breaking the response off");
            HookStatus::Ok
        }
    }
}

/// Logs what happened and what becomes of the request.
fn report(request: &Request<'_>, application: &str, error: &Error, outcome: &str) {
    let level = error.level();
    if log::request_logs(request, level) {
        log::request(request, level, &error.line(application, outcome));
    }
}
