//! The `eXIf` chunk of a PNG, wherever it stands (PNG third edition, 11.3.4.5).

const SIGNATURE_LEN: usize = 8;

/// The EXIF block of a PNG file, if its chunks can be followed that far.
pub(crate) fn find(png: &[u8]) -> Option<&[u8]> {
    let mut rest = png.get(SIGNATURE_LEN..)?;
    loop {
        let (length, body) = rest.split_first_chunk::<4>()?;
        let (kind, body) = body.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        if kind == b"eXIf" {
            return body.get(..length);
        }
        rest = body.get(length.checked_add(4)?..)?; // the checksum follows
    }
}
