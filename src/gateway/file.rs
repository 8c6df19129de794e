//! The file wrapper: a file, or a part of one, as a response body.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use super::error::Result;

/// An open regular file whose bytes become the body (PEP 3333, `wsgi.file_wrapper`).
///
/// The server sends it as it can: with sendfile, mapped into memory, or read. It also answers
/// conditional and Range requests for it, from Last-Modified and ETag if the application gave
/// them, else from the file's own time, size and inode, as httpd does for files on disk.
#[derive(Debug)]
pub struct FileBody {
    file: File,
    start: u64,
    length: u64,
    whole: bool,
}

impl FileBody {
    /// The whole of `file`, from its beginning.
    ///
    /// # Errors
    ///
    /// When it is not a regular file, or its metadata cannot be read.
    pub fn new(file: File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the file wrapper takes a regular file",
            ));
        }
        Ok(Self { length: metadata.len(), file, start: 0, whole: true })
    }

    /// `length` bytes of `file` from the offset `start`.
    ///
    /// # Errors
    ///
    /// As [`FileBody::new`], and when the file is shorter than that.
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

    /// The file.
    #[must_use]
    pub const fn file(&self) -> &File {
        &self.file
    }

    /// Where in the file the body starts, in bytes.
    #[must_use]
    pub const fn start(&self) -> u64 {
        self.start
    }

    /// The body's length in bytes.
    #[must_use]
    pub const fn length(&self) -> u64 {
        self.length
    }

    /// Whether the body is the whole file, so that the file's validators describe it.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.whole
    }

    /// The file itself, for a server that sends it by its descriptor.
    #[must_use]
    pub fn into_file(self) -> File {
        self.file
    }

    /// The body's bytes, for a server that has no better way.
    ///
    /// # Errors
    ///
    /// When the file does not let itself be positioned.
    pub fn into_reader(self) -> Result<impl Read> {
        let mut file = self.file;
        file.seek(SeekFrom::Start(self.start))?;
        Ok(file.take(self.length))
    }
}
