//! The records of an event file: length, the length's checksum, bytes, the bytes' checksum; little-endian.

use crc::{CRC_32_ISCSI, Crc};

/// CRC-32C.
const CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);

/// The format turns checksums and adds this, so that the checksum of data that hold checksums is not degenerate.
const MASK: u32 = 0xa282_ead8;

/// The record that holds `bytes`.
pub(super) fn frame(bytes: &[u8]) -> Vec<u8> {
    let length = (bytes.len() as u64).to_le_bytes();
    [&length[..], &masked(&length), bytes, &masked(bytes)].concat()
}

fn masked(bytes: &[u8]) -> [u8; 4] {
    CRC.checksum(bytes).rotate_right(15).wrapping_add(MASK).to_le_bytes()
}
