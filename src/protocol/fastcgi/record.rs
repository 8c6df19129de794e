//! Records, and what they say.

use super::error::RecordError;
use super::header::{HEADER, RecordHeader};
use super::kind::{ProtocolStatus, RecordKind, Role};
use super::pairs::NameValuePairs;

/// A whole record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its header.
    pub header: RecordHeader,
    /// Its content, without the padding.
    pub content: &'a [u8],
}

/// Takes a record from the beginning of `bytes`: `None` when it is not whole. What it takes is
/// [`Record::size`].
///
/// # Errors
///
/// Those of [`RecordHeader::decode`]: where the next record begins cannot be known.
pub fn split(bytes: &[u8]) -> Result<Option<Record<'_>>, RecordError> {
    let Some((header, rest)) = bytes.split_first_chunk::<HEADER>() else { return Ok(None) };
    let header = RecordHeader::decode(header)?;
    if rest.len() < header.size() - HEADER {
        return Ok(None);
    }
    Ok(Some(Record { header, content: &rest[..usize::from(header.content_length)] }))
}

/// The flag of BEGIN_REQUEST that leaves it to the web server to close the connection (5.1).
pub const KEEP_CONN: u8 = 1;

/// The content of BEGIN_REQUEST (5.1): role (2 bytes), flags, five reserved bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BeginRequest {
    /// The role that the web server wants.
    pub role: Role,
    /// Whether the connection is kept when the request has ended.
    pub keep_conn: bool,
}

impl BeginRequest {
    /// Decodes it. Flags that do not exist are not looked at.
    #[must_use]
    pub const fn decode(content: &[u8; 8]) -> Self {
        let &[high, low, flags, ..] = content;
        Self { role: Role(u16::from_be_bytes([high, low])), keep_conn: flags & KEEP_CONN != 0 }
    }

    /// Returns its bytes.
    #[must_use]
    pub const fn encode(&self) -> [u8; 8] {
        let [high, low] = self.role.0.to_be_bytes();
        [high, low, self.keep_conn as u8 * KEEP_CONN, 0, 0, 0, 0, 0]
    }
}

/// The content of END_REQUEST (5.5): application status (4 bytes), protocol status, three reserved
/// bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndRequest {
    /// The status of the application: what a CGI program returns from `main`.
    pub app_status: u32,
    /// The protocol's part of the result.
    pub protocol_status: ProtocolStatus,
}

impl EndRequest {
    /// Decodes it.
    #[must_use]
    pub const fn decode(content: &[u8; 8]) -> Self {
        let &[a, b, c, d, status, ..] = content;
        let app_status = u32::from_be_bytes([a, b, c, d]);
        Self { app_status, protocol_status: ProtocolStatus(status) }
    }

    /// Returns its bytes.
    #[must_use]
    pub const fn encode(&self) -> [u8; 8] {
        let [a, b, c, d] = self.app_status.to_be_bytes();
        [a, b, c, d, self.protocol_status.0, 0, 0, 0]
    }
}

/// The content of a record. An empty piece ends a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecordContent<'a> {
    /// BEGIN_REQUEST.
    Begin(u16, BeginRequest),
    /// ABORT_REQUEST.
    Abort(u16),
    /// END_REQUEST.
    End(u16, EndRequest),
    /// PARAMS: for a [`ParamsReader`](super::ParamsReader).
    Params(u16, &'a [u8]),
    /// STDIN.
    Stdin(u16, &'a [u8]),
    /// STDOUT.
    Stdout(u16, &'a [u8]),
    /// STDERR.
    Stderr(u16, &'a [u8]),
    /// DATA.
    Data(u16, &'a [u8]),
    /// GET_VALUES: names with empty values.
    GetValues(NameValuePairs<'a>),
    /// GET_VALUES_RESULT.
    GetValuesResult(NameValuePairs<'a>),
    /// UNKNOWN_TYPE: the other side does not know this type of management record.
    UnknownType(RecordKind),
    /// A record of a type that is not known. With request id 0 the answer is
    /// [`put_unknown_type`](super::put_unknown_type), any other is to be ignored.
    Unknown(RecordHeader),
}

impl<'a> Record<'a> {
    /// Returns the bytes that it takes, with its header and its padding.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.header.size()
    }

    /// Returns the contents.
    ///
    /// # Errors
    ///
    /// A name-value pair of a management record that is not whole. The next record can be read.
    pub fn message(&self) -> Result<RecordContent<'a>, RecordError> {
        let (header, content) = (self.header, self.content);
        let id = header.request_id;
        // The header was refused if one of a fixed length has another.
        let eight = || content.first_chunk::<8>().copied().unwrap_or_default();
        Ok(match header.kind {
            RecordKind::BEGIN_REQUEST => RecordContent::Begin(id, BeginRequest::decode(&eight())),
            RecordKind::ABORT_REQUEST => RecordContent::Abort(id),
            RecordKind::END_REQUEST => RecordContent::End(id, EndRequest::decode(&eight())),
            RecordKind::PARAMS => RecordContent::Params(id, content),
            RecordKind::STDIN => RecordContent::Stdin(id, content),
            RecordKind::STDOUT => RecordContent::Stdout(id, content),
            RecordKind::STDERR => RecordContent::Stderr(id, content),
            RecordKind::DATA => RecordContent::Data(id, content),
            RecordKind::GET_VALUES => RecordContent::GetValues(NameValuePairs::check(
                content,
                RecordKind::GET_VALUES,
                HEADER,
            )?),
            RecordKind::GET_VALUES_RESULT => RecordContent::GetValuesResult(NameValuePairs::check(
                content,
                RecordKind::GET_VALUES_RESULT,
                HEADER,
            )?),
            RecordKind::UNKNOWN_TYPE => RecordContent::UnknownType(RecordKind(eight()[0])),
            _ => RecordContent::Unknown(header),
        })
    }
}
