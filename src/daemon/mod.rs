//! Daemon mode: process groups that httpd forks and supervises, and the way to them.
