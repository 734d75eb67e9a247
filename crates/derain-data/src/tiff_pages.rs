//! Raw photographs are TIFFs as well, and begin with a thumbnail.

/// The tag that says what kind of page it is, and its bit for a smaller copy of another page.
const NEW_SUBFILE_TYPE: u16 = 254;
const REDUCED: u32 = 1;
const DNG_VERSION: u16 = 50706;

/// The type of 16-bit numbers, which stand in the first half of an entry's value.
const SHORT: u16 = 3;

/// Whether the first page of a TIFF is not the picture but a smaller copy of it, by its tags (TIFF 6.0, sections 2 and 8; DNG 1.7).
/// Files whose tags cannot be followed are left to the decoder.
pub(crate) fn comes_first(tiff: &[u8]) -> bool {
    tags_of_first_page(tiff).is_some_and(|mut tags| {
        tags.any(|(tag, value)| tag == DNG_VERSION || (tag == NEW_SUBFILE_TYPE && value & REDUCED > 0))
    })
}

/// The tags with the numbers that stand in their entries; for longer values those are places in the file.
fn tags_of_first_page(tiff: &[u8]) -> Option<impl Iterator<Item = (u16, u32)>> {
    let little_endian = tiff.starts_with(b"II*\0");
    if !little_endian && !tiff.starts_with(b"MM\0*") {
        return None; // BigTIFF, which no camera writes
    }
    let short = move |bytes: &[u8]| {
        let bytes = *bytes.first_chunk()?;
        Some(if little_endian { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) })
    };
    let long = move |bytes: &[u8]| {
        let bytes = *bytes.first_chunk()?;
        Some(if little_endian { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) })
    };
    let page = tiff.get(usize::try_from(long(tiff.get(4..)?)?).ok()?..)?;
    let entries = page.get(2..)?.chunks_exact(12).take(usize::from(short(page)?));
    Some(entries.filter_map(move |entry| {
        let value = if short(&entry[2..])? == SHORT { short(&entry[8..])?.into() } else { long(&entry[8..])? };
        Some((short(entry)?, value))
    }))
}
