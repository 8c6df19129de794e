//! Embedded mode: the application runs inside the httpd child, in the handler's own call.

use crate::adapter::{Facts, RequestExchange, RequestInput, conclude};
use crate::gateway::{Application, run};
use crate::httpd::{HookStatus, Request, log};

/// Runs `application` for a request, as httpd's handler.
pub(crate) fn serve<'r>(
    request: &Request<'r>,
    application: &dyn Application,
    facts: Facts<'r>,
) -> HookStatus {
    let mut input = match RequestInput::new(request) {
        Ok(input) => input,
        Err(status) => return HookStatus::from_raw(status),
    };
    RequestExchange::with(request, facts, |exchange| {
        let outcome = log::with_request(request, || run(application, exchange, &mut input));
        conclude(request, exchange, input.is_unread(), outcome)
    })
}
