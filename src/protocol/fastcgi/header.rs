//! The eight bytes before every record.

use super::error::{RecordError, RecordErrorKind};
use super::kind::{RecordKind, VERSION};

/// The bytes of a header.
pub const HEADER: usize = 8;

/// The most content that a record has.
pub const MAX_CONTENT: usize = u16::MAX as usize;

/// The most bytes that a record takes, with its header and its padding.
pub const MAX_RECORD: usize = HEADER + MAX_CONTENT + u8::MAX as usize;

/// The bytes of padding: as much of it as [`RecordHeader::padding_length`] says.
pub const PADDING: [u8; 8] = [0; 8];

/// A record's header (3.3).
///
/// | byte | what (numbers are big-endian) |
/// | --- | --- |
/// | 0 | version: 1 |
/// | 1 | type |
/// | 2, 3 | request id: 0 for a management record |
/// | 4, 5 | content length |
/// | 6 | padding length |
/// | 7 | reserved: not looked at, sent as 0 |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordHeader {
    /// The type.
    pub kind: RecordKind,
    /// The request that it belongs to; 0 for none.
    pub request_id: u16,
    /// The bytes of content behind the header.
    pub content_length: u16,
    /// The bytes behind the content, which mean nothing.
    pub padding_length: u8,
}

impl RecordHeader {
    /// Decodes a header.
    ///
    /// # Errors
    ///
    /// Another version; a request id that the type does not have; a content length that the type
    /// does not have. A type that is not known is none: [`RecordKind::is_known`] tells.
    pub fn decode(bytes: &[u8; HEADER]) -> Result<Self, RecordError> {
        let &[version, kind, id_high, id_low, high, low, padding_length, _reserved] = bytes;
        let kind = RecordKind(kind);
        if version != VERSION {
            return Err(RecordError::new(0, None, RecordErrorKind::Version(version)));
        }
        let request_id = u16::from_be_bytes([id_high, id_low]);
        if kind.is_known() && kind.is_management() != (request_id == 0) {
            return Err(RecordError::new(2, Some(kind), RecordErrorKind::RequestId(request_id)));
        }
        let content_length = u16::from_be_bytes([high, low]);
        if let Some(allowed) = kind.content_length()
            && allowed != content_length
        {
            let problem = RecordErrorKind::ContentLength { found: content_length, allowed };
            return Err(RecordError::new(4, Some(kind), problem));
        }
        Ok(Self { kind, request_id, content_length, padding_length })
    }

    /// Returns its bytes.
    #[must_use]
    pub const fn encode(&self) -> [u8; HEADER] {
        let [id_high, id_low] = self.request_id.to_be_bytes();
        let [high, low] = self.content_length.to_be_bytes();
        [VERSION, self.kind.0, id_high, id_low, high, low, self.padding_length, 0]
    }

    /// Returns a header without padding.
    #[must_use]
    pub const fn new(kind: RecordKind, request_id: u16, content_length: u16) -> Self {
        Self { kind, request_id, content_length, padding_length: 0 }
    }

    /// Returns a header with padding to a multiple of eight bytes, as section 3.3 recommends.
    #[must_use]
    pub const fn padded(kind: RecordKind, request_id: u16, content_length: u16) -> Self {
        let padding_length = (content_length.wrapping_neg() % 8) as u8;
        Self { kind, request_id, content_length, padding_length }
    }

    /// Returns the bytes of the whole record: header, content and padding.
    #[must_use]
    pub const fn size(&self) -> usize {
        HEADER + self.content_length as usize + self.padding_length as usize
    }
}
