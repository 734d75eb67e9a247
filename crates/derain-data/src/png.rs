//! What is asked of a PNG before or behind the decoder's back (PNG third edition, 5.3 and 11).

const SIGNATURE_LEN: usize = 8;

/// The most bytes that the pixels may take by the header, four samples of 16 bits each; 0 without a header.
pub(crate) fn largest_picture(png: &[u8]) -> u64 {
    let number = |at: usize| Some(u64::from(u32::from_be_bytes(*png.get(at..)?.first_chunk()?)));
    match (number(SIGNATURE_LEN + 8), number(SIGNATURE_LEN + 12)) {
        (Some(width), Some(height)) => width.saturating_mul(height).saturating_mul(8),
        _ => 0,
    }
}

/// The EXIF block, wherever its chunk `eXIf` stands, if the chunks can be followed that far. The
/// decoder sees only what stands before the pixels, and some writers put EXIF last.
pub(crate) fn find_exif(png: &[u8]) -> Option<&[u8]> {
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
