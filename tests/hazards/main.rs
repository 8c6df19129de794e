//! Real httpd.
