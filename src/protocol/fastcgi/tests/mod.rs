//! Every rule of the specification, on the bytes.

mod flow;
mod params;
mod records;
mod values;

use super::*;

/// Splits a whole buffer into records.
fn records(mut bytes: &[u8]) -> Vec<Record<'_>> {
    let mut all = Vec::new();
    while let Some(record) = split(bytes).expect("good records") {
        bytes = &bytes[record.size()..];
        all.push(record);
    }
    assert!(bytes.is_empty(), "{} bytes of a record that is not whole", bytes.len());
    all
}
