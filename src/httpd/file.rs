//! Files as responses: handed over to APR, with the validators that httpd gives files on disk.

use std::fs::File;
use std::os::fd::AsRawFd as _;

use super::pool::Pool;
use super::request::{FileInfo, Request};
use crate::gateway::FileBody;
use crate::sys;

/// A file that APR has opened in a request's pool.
pub(crate) struct OpenFile<'r> {
    file: *mut sys::apr_file_t,
    pool: Pool<'r>,
}

impl<'r> OpenFile<'r> {
    pub(super) const fn as_ptr(&self) -> *mut sys::apr_file_t {
        self.file
    }

    pub(super) const fn pool(&self) -> Pool<'r> {
        self.pool
    }
}

impl<'r> Request<'r> {
    /// Returns the file as one of APR's, which its pool closes. Buckets may move it to a pool that
    /// lives longer, so APR opens it anew and owns what it opened.
    ///
    /// # Errors
    ///
    /// Returns an error if it cannot be opened.
    pub(crate) fn adopt_file(&self, file: &File, sendfile: bool) -> Result<OpenFile<'r>, i32> {
        let name = self.pool().c_str(format!("/dev/fd/{}", file.as_raw_fd()).as_bytes());
        let mut flags = sys::APR_FOPEN_READ | sys::APR_FOPEN_BINARY;
        if sendfile {
            flags |= sys::APR_FOPEN_SENDFILE_ENABLED;
        }
        let mut adopted = std::ptr::null_mut();
        // SAFETY: P11: the request's pool, and a name that ends with NUL.
        let status = unsafe {
            sys::apr_file_open(
                &raw mut adopted,
                name.as_ptr(),
                flags.cast_signed(),
                sys::APR_FPROT_OS_DEFAULT.cast_signed(),
                self.pool().as_ptr(),
            )
        };
        if status == sys::RUST_APR_SUCCESS {
            Ok(OpenFile { file: adopted, pool: self.pool() })
        } else {
            Err(status)
        }
    }

    /// Last-Modified, ETag and Accept-Ranges for a whole file, where the application gave none of
    /// its own (core's default_handler, `FileETag` applies).
    pub(crate) fn set_validators(&self, file: &FileBody) {
        let headers = self.headers_out();
        let mtime_us = file.modified_us();
        let own = headers.get(c"Last-Modified");
        let modified = match own {
            Some(own) => {
                let own = self.pool().c_str(own);
                // SAFETY: the text ends with NUL, as `c_str` made it.
                unsafe { sys::apr_date_parse_http(own.as_ptr()) }
            }
            None => mtime_us,
        };
        self.put_file_info(FileInfo {
            size: file.length().cast_signed(),
            inode: file.inode(),
            mtime_us,
            modified,
        });
        if own.is_none() {
            // SAFETY: P11: `self` keeps the record valid (P1).
            unsafe { sys::ap_set_last_modified(self.as_ptr()) };
        }
        if headers.get(c"ETag").is_none() {
            // SAFETY: P11: `self` keeps the record valid (P1).
            unsafe { sys::ap_set_etag(self.as_ptr()) };
        }
        if headers.get(c"Accept-Ranges").is_none() {
            headers.set_static(c"Accept-Ranges", c"bytes");
        }
    }
}
