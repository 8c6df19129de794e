//! Shared memory that a daemon process inherits and that is not its business: httpd's own
//! scoreboard, the TLS session cache, other modules' segments, other groups' scoreboards with their
//! tokens.

use std::ffi::OsStr;
use std::io::{self, BufRead as _};
use std::ops::Range;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Unmaps all shared memory of this process but what lies in `kept`, and read-only mappings of
/// files that every user may read: the C library has some of its own (`gconv-modules.cache`,
/// nscd's).
///
/// # Errors
///
/// Returns an error if /proc cannot be read, or something cannot be unmapped: the process must not
/// go on.
///
/// # Safety
///
/// This process has one thread, and uses no shared memory from here on that was mapped before, but
/// for that in `kept`.
pub(super) unsafe fn unmap_shared(kept: &Range<usize>) -> io::Result<()> {
    for range in shared(kept)? {
        let start = std::ptr::with_exposed_provenance_mut(range.start);
        // SAFETY: P20: by the contract nobody uses what is mapped there.
        match unsafe { rustix::mm::munmap(start, range.len()) } {
            // valgrind says so of its own mappings; the kernel of none that it has listed.
            Ok(()) | Err(rustix::io::Errno::INVAL) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Returns the ranges to unmap; those that touch are one.
fn shared(kept: &Range<usize>) -> io::Result<Vec<Range<usize>>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    let mut maps = io::BufReader::new(std::fs::File::open("/proc/self/maps")?);
    let mut line = Vec::new();
    while maps.read_until(b'\n', &mut line)? > 0 {
        let mapping = Mapping::parse(&line).ok_or(io::ErrorKind::InvalidData)?;
        if mapping.is_shared && !mapping.is_public() {
            // One mapping has the scoreboards of all groups.
            for part in [
                mapping.range.start..mapping.range.end.min(kept.start),
                mapping.range.start.max(kept.end)..mapping.range.end,
            ] {
                match ranges.last_mut() {
                    _ if part.is_empty() => {}
                    Some(last) if last.end == part.start => last.end = part.end,
                    _ => ranges.push(part),
                }
            }
        }
        line.clear();
    }
    Ok(ranges)
}

/// A line of /proc/PID/maps (proc(5)).
#[derive(Debug, PartialEq)]
struct Mapping<'a> {
    range: Range<usize>,
    is_shared: bool,
    can_write: bool,
    inode: u64,
    path: &'a [u8],
}

impl<'a> Mapping<'a> {
    fn parse(line: &'a [u8]) -> Option<Self> {
        let line = line.trim_ascii();
        let mut words = line.splitn(6, |byte| *byte == b' ');
        let mut word = || words.next().and_then(|word| std::str::from_utf8(word).ok());
        let (start, end) = word()?.split_once('-')?;
        let range = usize::from_str_radix(start, 16).ok()?..usize::from_str_radix(end, 16).ok()?;
        let access = word()?.as_bytes();
        let (_offset, _device) = (word()?, word()?);
        let inode = word()?.parse().ok()?;
        let path = words.next().unwrap_or_default().trim_ascii();
        let (can_write, is_shared) = (*access.get(1)? == b'w', *access.get(3)? == b's');
        Some(Self { range, is_shared, can_write, inode, path })
    }

    /// Returns whether it shows what every user may read, and nothing else.
    fn is_public(&self) -> bool {
        !self.can_write
            && std::fs::metadata(Path::new(OsStr::from_bytes(self.path)))
                .is_ok_and(|file| file.ino() == self.inode && file.mode() & 0o004 != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_proc() {
        let line = b"7f00a000-7f00c000 rw-s 00000000 00:01 1058    /dev/zero (deleted)\n";
        let mapping = Mapping::parse(line).unwrap();
        assert_eq!(mapping.range, 0x7f00_a000..0x7f00_c000);
        assert!(mapping.is_shared && mapping.can_write && !mapping.is_public());
        assert_eq!((mapping.inode, mapping.path), (1058, &b"/dev/zero (deleted)"[..]));
        let private = Mapping::parse(b"55d0-55d1 r-xp 00000000 00:00 0 \n").unwrap();
        assert!(!private.is_shared && private.path.is_empty());
        assert_eq!(Mapping::parse(b"55d0 r-xp"), None);
        let file = std::env::current_exe().unwrap();
        let inode = std::fs::metadata(&file).unwrap().ino();
        let line = format!("1000-2000 r--s 00000000 08:01 {inode} {}\n", file.display());
        assert!(Mapping::parse(line.as_bytes()).unwrap().is_public());
        let line = format!("1000-2000 r--s 00000000 08:01 {} {}\n", inode + 1, file.display());
        assert!(!Mapping::parse(line.as_bytes()).unwrap().is_public());
    }

    #[test]
    fn all_shared_memory_but_that_to_keep() {
        use crate::os::{BoardMemory, Shape};
        let shape = Shape { slots: 1, rows_per_slot: 1 };
        // Side by side in one mapping, and in another one.
        let (_memory, boards) = BoardMemory::new(&[shape; 3]).unwrap();
        let [before, kept, after] = [0, 1, 2].map(|number: usize| boards[number].1.clone());
        let (_other, boards) = BoardMemory::new(&[shape]).unwrap();
        let other = boards[0].1.clone();
        let covers = |ranges: &[Range<usize>], wanted: &Range<usize>| {
            ranges.iter().any(|range| range.start <= wanted.start && wanted.end <= range.end)
        };
        let ranges = shared(&kept).unwrap();
        for gone in [&before, &after, &other] {
            assert!(covers(&ranges, gone), "{gone:?}: {ranges:?}");
        }
        let page = rustix::param::page_size();
        assert!(ranges.iter().all(|range| range.start % page == 0 && range.end % page == 0));
        assert!(ranges.iter().all(|range| range.end <= kept.start || range.start >= kept.end));
    }
}
