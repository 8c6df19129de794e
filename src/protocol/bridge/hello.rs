//! HELLO: the first frame of a connection.

use super::error::{FrameError, Problem};
use super::frame::{Frame, put_header};
use super::kind::{HELLO, Kind, VERSION};
use super::reader::Reader;

/// The first bytes of HELLO, in every version.
pub const MAGIC: &[u8; 8] = b"mod_rust";

/// The bytes of the process group's token.
pub const TOKEN: usize = 16;

/// A HELLO of this version.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Hello {
    token: [u8; TOKEN],
}

impl Hello {
    /// Makes one with the token of the process group.
    #[must_use]
    pub const fn new(token: [u8; TOKEN]) -> Self {
        Self { token }
    }

    /// Returns whether the peer knows the process group's token. How long it takes tells nothing of
    /// it.
    #[must_use]
    pub fn knows(&self, token: &[u8; TOKEN]) -> bool {
        let differ = |all, (a, b): (&u8, &u8)| all | (a ^ b);
        std::hint::black_box(self.token.iter().zip(token).fold(0, differ)) == 0
    }

    pub(super) fn decode(frame: &Frame<'_>) -> Result<Self, FrameError> {
        let mut reader = Reader::new(frame);
        if &reader.array::<8>()? != MAGIC {
            return Err(reader.refuse_at(0, Problem::Magic));
        }
        let version = reader.u16()?;
        if version != VERSION {
            return Err(reader.refuse_at(8, Problem::Version(version)));
        }
        let reserved = reader.u16()?;
        if reserved != 0 {
            return Err(reader.refuse_at(10, Problem::Reserved(reserved)));
        }
        let token = reader.array()?;
        reader.finish()?;
        Ok(Self { token })
    }

    pub(super) const fn token(&self) -> &[u8; TOKEN] {
        &self.token
    }
}

impl std::fmt::Debug for Hello {
    /// Without the token.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hello").finish_non_exhaustive()
    }
}

/// Puts HELLO onto `out`.
pub fn put_hello(out: &mut Vec<u8>, token: &[u8; TOKEN]) {
    put_header(out, Kind::Hello, 0, HELLO as u32);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&[0; 2]);
    out.extend_from_slice(token);
}
