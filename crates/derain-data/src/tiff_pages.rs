//! What the pages of a TIFF are: raw photographs are TIFFs as well, and begin with a thumbnail.

use std::collections::HashSet;

/// The tag that says what kind of page it is, and its bits for a smaller copy and for a transparency mask of another
/// page.
const NEW_SUBFILE_TYPE: u16 = 254;
const REDUCED: u32 = 1;
const MASK: u32 = 4;
const DNG_VERSION: u16 = 50706;

/// The type of 16-bit numbers, which stand in the first half of an entry's value.
const SHORT: u16 = 3;

/// Bytes of a page's entry.
const ENTRY: usize = 12;

/// Pages are followed this far.
const MOST_PAGES: usize = 10_000;

/// Entries of a page that are looked at for its kind: they are in order, and hardly any tag is lower.
const MOST_ENTRIES: usize = 8;

/// Whether the first page of a TIFF is not the picture but a smaller copy of it, by its tags (TIFF 6.0, sections 2 and
/// 8; DNG 1.7). Files whose tags cannot be followed are left to the decoder.
pub(crate) fn comes_first(tiff: &[u8]) -> bool {
    let page = Tiff::of(tiff).and_then(|tiff| tiff.page(tiff.long(4)?));
    page.is_some_and(|page| {
        page.tags().any(|(tag, value)| tag == DNG_VERSION || (tag == NEW_SUBFILE_TYPE && value & REDUCED > 0))
    })
}

/// How many pages are pictures of their own, neither smaller copies nor masks of others; at least 1.
pub(crate) fn count_pictures(tiff: &[u8]) -> usize {
    let Some(tiff) = Tiff::of(tiff) else { return 1 };
    let first = tiff.long(4).and_then(|place| tiff.page(place));
    // Links may lead round and round.
    let mut seen = HashSet::new();
    let pages = std::iter::successors(first, |page| tiff.page(page.next()?));
    let pages = pages.take_while(|page| seen.insert(page.place)).take(MOST_PAGES);
    let is_copy = |(tag, value): (u16, u32)| tag == NEW_SUBFILE_TYPE && value & (REDUCED | MASK) > 0;
    pages.filter(|page| !page.tags().take(MOST_ENTRIES).any(is_copy)).count().max(1)
}

#[derive(Clone, Copy)]
struct Tiff<'a> {
    bytes: &'a [u8],
    little_endian: bool,
}

impl<'a> Tiff<'a> {
    /// `None` for BigTIFF, which the decoder does not read.
    fn of(bytes: &'a [u8]) -> Option<Self> {
        let little_endian = bytes.starts_with(b"II*\0");
        (little_endian || bytes.starts_with(b"MM\0*")).then_some(Self { bytes, little_endian })
    }

    fn short(self, place: usize) -> Option<u16> {
        let bytes = *self.bytes.get(place..)?.first_chunk()?;
        Some(if self.little_endian { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) })
    }

    fn long(self, place: usize) -> Option<u32> {
        let bytes = *self.bytes.get(place..)?.first_chunk()?;
        Some(if self.little_endian { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) })
    }

    /// `None` after the last, whose link is 0, and where a link leads out of the file.
    fn page(self, place: u32) -> Option<Page<'a>> {
        let place = usize::try_from(place).ok().filter(|place| *place > 0)?;
        Some(Page { tiff: self, place, entries: self.short(place)?.into() })
    }
}

struct Page<'a> {
    tiff: Tiff<'a>,
    place: usize,
    entries: usize,
}

impl<'a> Page<'a> {
    /// The tags with the numbers that stand in their entries; for longer values those are places in the file.
    fn tags(&self) -> impl Iterator<Item = (u16, u32)> + use<'a> {
        let (tiff, start) = (self.tiff, self.place + 2);
        (0..self.entries).map_while(move |entry| {
            let place = start + ENTRY * entry;
            let is_short = tiff.short(place + 2)? == SHORT;
            let value = if is_short { tiff.short(place + 8)?.into() } else { tiff.long(place + 8)? };
            Some((tiff.short(place)?, value))
        })
    }

    /// Where the next page is.
    fn next(&self) -> Option<u32> {
        self.tiff.long(self.place + 2 + ENTRY * self.entries)
    }
}
