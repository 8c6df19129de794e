//! The file wrapper: a file, or a part of one, as a response body.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt as _;

use super::error::Result;

/// An open regular file whose bytes become the body (PEP 3333, `wsgi.file_wrapper`).
///
/// The server sends it with sendfile, maps it into memory, or reads it. It also answers conditional
/// and Range requests. Their validators are the application's Last-Modified and ETag. Without
/// these, they come from the file's time, size and inode, like httpd's for files on disk.
#[derive(Debug)]
pub struct FileBody {
    file: File,
    start: u64,
    length: u64,
    whole: bool,
    inode: u64,
    modified_us: i64,
}

impl FileBody {
    /// Makes a body of the whole `file`, from its beginning.
    ///
    /// # Errors
    ///
    /// Fails when `file` is not a regular file or its metadata cannot be read.
    pub fn new(file: File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the file wrapper takes a regular file",
            ));
        }
        Ok(Self {
            length: metadata.len(),
            file,
            start: 0,
            whole: true,
            inode: metadata.ino(),
            modified_us: metadata.mtime() * 1_000_000 + metadata.mtime_nsec() / 1000,
        })
    }

    /// Makes a body of `length` bytes of `file`, from the offset `start`.
    ///
    /// # Errors
    ///
    /// The same as [`FileBody::new`], and fails when the file ends before that.
    pub fn range(file: File, start: u64, length: u64) -> io::Result<Self> {
        let whole = Self::new(file)?;
        if start.checked_add(length).is_none_or(|end| end > whole.length) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("bytes {start}+{length} lie beyond the file's end, {}", whole.length),
            ));
        }
        Ok(Self { start, length, whole: false, ..whole })
    }

    /// Returns the file.
    #[must_use]
    pub const fn file(&self) -> &File {
        &self.file
    }

    /// Returns the offset of the body in the file, in bytes.
    #[must_use]
    pub const fn start(&self) -> u64 {
        self.start
    }

    /// Returns the body's length in bytes.
    #[must_use]
    pub const fn length(&self) -> u64 {
        self.length
    }

    /// Tells whether the body is the whole file, so that the file's validators describe it.
    #[must_use]
    pub(crate) const fn is_whole(&self) -> bool {
        self.whole
    }

    /// Returns the file's inode, as it was when the body was made.
    #[must_use]
    #[cfg_attr(not(feature = "httpd"), expect(dead_code, reason = "httpd makes a tag of it"))]
    pub(crate) const fn inode(&self) -> u64 {
        self.inode
    }

    /// Returns the time of the file's last change in microseconds since 1970, as it was when the body
    /// was made.
    #[must_use]
    pub(crate) const fn modified_us(&self) -> i64 {
        self.modified_us
    }

    /// Returns the file, for a server that sends it by its descriptor.
    #[must_use]
    #[cfg_attr(not(feature = "httpd"), expect(dead_code, reason = "httpd sends descriptors"))]
    pub(crate) fn into_file(self) -> File {
        self.file
    }

    /// Returns a reader of the body's bytes.
    ///
    /// # Errors
    ///
    /// Fails when the file cannot be positioned.
    pub fn into_reader(self) -> Result<impl Read> {
        let mut file = self.file;
        file.seek(SeekFrom::Start(self.start))?;
        Ok(file.take(self.length))
    }
}
