//! Bucket brigades: what goes through httpd's filters.

use std::ffi::{c_char, c_void};
use std::fs::File;
use std::io;
use std::marker::PhantomData;
use std::os::fd::AsRawFd as _;

use bytes::Bytes;

use super::Invariant;
use super::file::OpenFile;
use super::log;
use super::pool::Pool;
use super::request::Request;
use crate::sys;

/// The size in bytes above which data is passed without a copy. Below, a copy is cheaper.
const COPY_BELOW: usize = 256;

/// A bucket brigade of a request. Its buckets are destroyed with it.
///
/// ```no_run
/// use mod_rust::httpd::{Brigade, HookStatus, Request};
///
/// fn handler(request: &Request<'_>, _: &()) -> HookStatus {
///     let mut brigade = Brigade::new(request);
///     brigade.push_static(b"Hello\n");
///     brigade.push_end();
///     match request.pass(&mut brigade) {
///         Ok(()) => HookStatus::Ok,
///         Err(_) => HookStatus::Http(http::StatusCode::INTERNAL_SERVER_ERROR),
///     }
/// }
/// ```
pub struct Brigade<'r> {
    brigade: *mut sys::apr_bucket_brigade,
    lifetime: Invariant<'r>,
}

/// The contents of a bucket that was read.
pub(crate) enum Read {
    /// Bytes, valid until the bucket is deleted (P8).
    Data(*const u8, usize),
    /// The end of the stream.
    End,
    /// There is no bucket.
    Empty,
    /// Nothing yet.
    NotYet,
    /// It could not be read.
    Failed(sys::apr_status_t),
}

impl<'r> Brigade<'r> {
    /// Makes a brigade in the request's pool.
    #[must_use]
    pub fn new(request: &Request<'r>) -> Self {
        let (pool, alloc) = (request.pool().as_ptr(), request.bucket_alloc());
        // SAFETY: P11: pool and allocator are those of one request.
        let brigade = unsafe { sys::rust_brigade_create(pool, alloc) };
        Self { brigade, lifetime: PhantomData }
    }

    /// Returns the brigade itself.
    #[must_use]
    pub(crate) const fn as_ptr(&self) -> *mut sys::apr_bucket_brigade {
        self.brigade
    }

    /// Tells whether the brigade has no buckets.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        // SAFETY: 'r keeps the brigade valid: it lives in the request's pool.
        unsafe { sys::rust_brigade_is_empty(self.brigade) != 0 }
    }

    /// Destroys all buckets of the brigade.
    pub fn clear(&mut self) {
        // SAFETY: P8: the brigade owns its buckets, and `&mut` lets nobody read one meanwhile.
        unsafe { sys::apr_brigade_cleanup(self.brigade.cast()) };
    }

    /// Appends bytes, without a copy unless there are few.
    pub fn push_bytes(&mut self, data: Bytes) {
        let (pointer, length) = (data.as_ptr().cast::<c_char>(), data.len());
        if length < COPY_BELOW {
            // SAFETY: P8, P11; the bytes are copied.
            unsafe { sys::rust_brigade_copy(self.brigade, pointer, length) };
            return;
        }
        const { assert!(align_of::<Bytes>() <= 8, "a bucket's memory is aligned to 8 bytes") };
        let (size, alloc) = (size_of::<Bytes>(), self.alloc());
        let mut owner = std::ptr::null_mut();
        // SAFETY: P11: the bytes stay where they are until `free_bytes` gets their owner.
        let bucket = unsafe {
            sys::rust_bucket_owned(pointer, length, size, Some(free_bytes), alloc, &raw mut owner)
        };
        // SAFETY: P8: the place is fresh, so large, and aligned as is said above.
        unsafe { owner.cast::<Bytes>().write(data) };
        self.push(bucket);
    }

    /// Appends static bytes.
    pub fn push_static(&mut self, data: &'static [u8]) {
        // SAFETY: P11; the bytes live forever.
        let bucket = unsafe {
            sys::apr_bucket_immortal_create(data.as_ptr().cast(), data.len(), self.alloc())
        };
        self.push(bucket);
    }

    /// Appends a part of a file, which is closed with the pool. The file is not mapped into memory:
    /// a mapped file that shrinks would kill the whole child (SIGBUS).
    pub(crate) fn push_file(&mut self, file: OpenFile<'r>, start: u64, length: u64) {
        // SAFETY: P8, P11; the file belongs to the pool.
        unsafe {
            sys::rust_brigade_file(
                self.brigade,
                file.as_ptr(),
                start.cast_signed(),
                length.cast_signed(),
                file.pool().as_ptr(),
            );
        }
    }

    /// Appends what one read gives of a file from `start` on, `most` bytes at most. Returns their
    /// number: none at the file's end.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be read.
    pub(crate) fn push_read(&mut self, file: &File, start: u64, most: usize) -> io::Result<usize> {
        let fd = file.as_raw_fd();
        // SAFETY: P8, P11: the file is open, and the bytes go to memory of the brigade's own.
        let count = unsafe { sys::rust_brigade_pread(self.brigade, fd, start.cast_signed(), most) };
        usize::try_from(count).map_err(|_| io::Error::last_os_error())
    }

    /// Appends a flush, which makes the filters and the network send their pending data.
    pub fn push_flush(&mut self) {
        // SAFETY: P11: the allocator of the brigade's own connection.
        let bucket = unsafe { sys::apr_bucket_flush_create(self.alloc()) };
        self.push(bucket);
    }

    /// Appends the end of the response.
    pub fn push_end(&mut self) {
        // SAFETY: P11: the allocator of the brigade's own connection.
        let bucket = unsafe { sys::apr_bucket_eos_create(self.alloc()) };
        self.push(bucket);
    }

    /// Appends an error in mid-response. With status 502 the HTTP filters leave the response
    /// incomplete (`ap_proxy_backend_broke`).
    pub fn push_error(&mut self, status: u16, pool: Pool<'r>) {
        // SAFETY: P11: pool and allocator are those of one request, by 'r.
        let bucket = unsafe {
            sys::ap_bucket_error_create(
                i32::from(status),
                std::ptr::null(),
                pool.as_ptr(),
                self.alloc(),
            )
        };
        self.push(bucket);
    }

    /// Reads the first bucket that is not metadata, deleting those before it.
    pub(crate) fn read_first(&mut self, wait: bool) -> Read {
        let mut first = sys::rust_first { data: std::ptr::null(), length: 0, status: 0 };
        // SAFETY: P8: the brigade owns its buckets, and `&mut` lets nobody read one meanwhile; the
        // result is this function's.
        let found =
            unsafe { sys::rust_brigade_read_first(self.brigade, i32::from(wait), &raw mut first) };
        match found.cast_unsigned() {
            sys::RUST_FIRST_DATA => Read::Data(first.data.cast(), first.length),
            sys::RUST_FIRST_END => Read::End,
            sys::RUST_FIRST_FAILED if first.status == sys::RUST_APR_EAGAIN => Read::NotYet,
            sys::RUST_FIRST_FAILED => Read::Failed(first.status),
            _ => Read::Empty,
        }
    }

    /// Moves the first bucket to the end of `kept`, a brigade of the same request, if its memory
    /// stays where it is for as long as the bucket lives. Returns whether it has.
    pub(crate) fn keep_first(&mut self, kept: &mut Self) -> bool {
        // SAFETY: P8: the bucket is this brigade's, and `&mut` lets nobody use either meanwhile. Both
        // have the allocator of one request's connection, by 'r.
        unsafe { sys::rust_brigade_keep_first(self.brigade, kept.brigade) != 0 }
    }

    /// Deletes the first bucket.
    pub(crate) fn delete_first(&mut self) {
        // SAFETY: P8: the brigade owns the bucket, and `&mut` lets nobody read it meanwhile.
        unsafe { sys::rust_brigade_delete_first(self.brigade) };
    }

    fn push(&mut self, bucket: *mut sys::apr_bucket) {
        // SAFETY: P8: the bucket is new and belongs to nobody else.
        unsafe { sys::rust_brigade_append(self.brigade, bucket) };
    }

    fn alloc(&self) -> *mut sys::apr_bucket_alloc_t {
        // SAFETY: P8: the brigade is alive.
        unsafe { (*self.brigade).bucket_alloc }
    }
}

impl Drop for Brigade<'_> {
    fn drop(&mut self) {
        if !self.is_empty() {
            self.clear();
        }
    }
}

unsafe extern "C" fn free_bytes(owner: *mut c_void) {
    // The bytes' own drop may be the application's code (P10).
    log::guarded("the end of a response's bytes", || {
        // SAFETY: P6: `push_bytes` wrote it there, and the bucket type hands it out once.
        drop(unsafe { owner.cast::<Bytes>().read() });
    });
}
