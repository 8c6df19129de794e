//! The page that stands for an error status, in httpd's words.

use http::StatusCode;

/// Its Content-Type.
pub(super) const CONTENT_TYPE: &[u8] = b"text/html; charset=iso-8859-1";

/// Returns the HTML page for `status`.
#[must_use]
pub(crate) fn page(status: StatusCode) -> String {
    let title = status.canonical_reason().unwrap_or("Error");
    let text = match status {
        StatusCode::BAD_REQUEST => {
            "Your browser sent a request that this server could not understand.<br />\n"
        }
        StatusCode::UNAUTHORIZED => {
            "This server could not verify that you\nare authorized to access the document\n\
             requested.  Either you supplied the wrong\ncredentials (e.g., bad password), or your\n\
             browser doesn't understand how to supply\nthe credentials required."
        }
        StatusCode::FORBIDDEN => "You don't have permission to access this resource.",
        StatusCode::NOT_FOUND => "The requested URL was not found on this server.",
        StatusCode::METHOD_NOT_ALLOWED => "The requested method is not allowed for this URL.",
        StatusCode::REQUEST_TIMEOUT => {
            "Server timeout waiting for the HTTP request from the client."
        }
        StatusCode::GONE => "The requested resource is no longer available on this server.",
        StatusCode::PRECONDITION_FAILED => {
            "The precondition on the request\nfor this URL evaluated to false."
        }
        StatusCode::PAYLOAD_TOO_LARGE => {
            "The requested resource does not allow request data, or the amount of data provided in\n\
             the request exceeds the capacity limit."
        }
        StatusCode::URI_TOO_LONG => "The requested URL's length exceeds the capacity limit.",
        StatusCode::RANGE_NOT_SATISFIABLE => {
            "None of the range-specifier values in the Range\nrequest-header field overlap\n\
             the current extent of the selected resource."
        }
        StatusCode::NOT_IMPLEMENTED => "The requested method is not supported for the current URL.",
        StatusCode::BAD_GATEWAY => {
            "The proxy server received an invalid\nresponse from an upstream server.<br />\n"
        }
        StatusCode::SERVICE_UNAVAILABLE => {
            "The server is temporarily unable to service your\n\
             request due to maintenance downtime or capacity\nproblems. Please try again later."
        }
        StatusCode::GATEWAY_TIMEOUT => {
            "The gateway did not receive a timely response\nfrom the upstream server or application."
        }
        status if status.is_server_error() => {
            "The server encountered an internal error or\nmisconfiguration and was unable to complete\n\
             your request.\nMore information about this error may be available\nin the server error log."
        }
        _ => "The request could not be fulfilled.",
    };
    format!(
        "<!DOCTYPE HTML PUBLIC \"-//IETF//DTD HTML 2.0//EN\">\n<html><head>\n\
         <title>{} {title}</title>\n</head><body>\n<h1>{title}</h1>\n<p>{text}</p>\n</body></html>\n",
        status.as_u16()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_which_error() {
        let page = page(StatusCode::NOT_FOUND);
        assert!(page.contains("<title>404 Not Found</title>"), "{page}");
        assert!(page.contains("<h1>Not Found</h1>"), "{page}");
        for code in (400..600).filter_map(|code| StatusCode::from_u16(code).ok()) {
            assert!(super::page(code).contains(code.as_str()));
        }
    }
}
