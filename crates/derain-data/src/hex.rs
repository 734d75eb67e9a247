//! Bytes as people compare them, here and in `derain-train`.

/// In lower case, without separators.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
