//! The directory of a zip archive whose members are stored, not compressed, as torch writes them.
//!
//! Members are ranges of the file, so nothing is copied or unpacked. Where the records of an
//! archive disagree with each other it is refused: two readers must not see two files in it.
//! Checksums are not compared, because torch can be told to leave them out.

use std::collections::HashMap;
use std::ops::Range;

use super::error::{WeightError, malformed, printable};
use super::limits::MAX_MEMBERS;
use super::reader::Reader;

const LOCAL_HEADER: u32 = 0x0403_4b50;
const CENTRAL_HEADER: u32 = 0x0201_4b50;
const END: u32 = 0x0605_4b50;
const END_ZIP64: u32 = 0x0606_4b50;
const END_ZIP64_LOCATOR: u32 = 0x0706_4b50;

/// Bytes of the end record without its comment, and of the zip64 records.
const END_BYTES: usize = 22;
const LOCATOR_BYTES: usize = 20;
const END_ZIP64_BYTES: usize = 56;

const ZIP64_FIELD: u16 = 1;
const ENCRYPTED: u16 = 1;

/// Members by name, as ranges of the archive.
pub(crate) type Members<'a> = HashMap<&'a str, Range<usize>>;

struct Directory {
    entries: u64,
    start: usize,
    /// Where the directory's bytes end, and the first end record starts or later.
    end: usize,
}

/// Reads the directory of `archive`.
pub(crate) fn members(archive: &[u8]) -> Result<Members<'_>, WeightError> {
    let directory = find_directory(archive)?;
    if directory.entries > MAX_MEMBERS as u64 {
        return Err(WeightError::LimitExceeded { what: "members in the zip archive", limit: MAX_MEMBERS as u64 });
    }
    let mut reader = Reader::at(&archive[..directory.end], directory.start);
    let mut members = HashMap::new();
    for _ in 0..directory.entries {
        let offset = reader.position();
        let (name, range) = member(archive, &directory, &Entry::read(&mut reader)?)?;
        if members.insert(name, range).is_some() {
            return Err(malformed(offset, format!("zip member `{}` appears twice", printable(name))));
        }
    }
    if reader.remaining() > 0 {
        return Err(malformed(reader.position(), "the zip directory is longer than its entries"));
    }
    Ok(members)
}

fn find_directory(archive: &[u8]) -> Result<Directory, WeightError> {
    let end = find_end(archive)?;
    let mut reader = Reader::at(archive, end + 4);
    let disks = [reader.u16("a zip end record")?, reader.u16("a zip end record")?];
    let here = reader.u16("a zip end record")?;
    let entries = reader.u16("a zip end record")?;
    let size = reader.u32("a zip end record")?;
    let start = reader.u32("a zip end record")?;
    let (entries, size, start, limit) = match zip64_end(archive, end)? {
        // Fields of the short record that are not saturated must say the same.
        Some(wide) => {
            let agree = (entries == u16::MAX || u64::from(entries) == wide.entries)
                && (size == u32::MAX || u64::from(size) == wide.size)
                && (start == u32::MAX || u64::from(start) == wide.start);
            if !agree {
                return Err(malformed(end, "the two zip end records disagree"));
            }
            (wide.entries, wide.size, wide.start, wide.offset)
        }
        None if disks != [0, 0] || here != entries => {
            return Err(malformed(end, "a zip archive of several volumes"));
        }
        None => (entries.into(), size.into(), start.into(), end),
    };
    let finish = start.checked_add(size).and_then(|end| end.try_into().ok());
    let Some(finish) = finish.filter(|&finish: &usize| finish <= limit) else {
        return Err(malformed(end, format!("a zip directory of {size} bytes at {start}, past its end record")));
    };
    Ok(Directory {
        entries,
        // Not past `finish`, so it fits.
        start: finish - size as usize,
        end: finish,
    })
}

/// The end record is the last whose comment fills the file's rest exactly.
fn find_end(archive: &[u8]) -> Result<usize, WeightError> {
    let last = archive.len().checked_sub(END_BYTES);
    let first = last.map(|last| last.saturating_sub(usize::from(u16::MAX)));
    let candidates = first.zip(last).map(|(first, last)| first..=last);
    candidates
        .into_iter()
        .flatten()
        .rev()
        .find(|&at| {
            let comment = usize::from(u16::from_le_bytes([archive[at + 20], archive[at + 21]]));
            archive[at..at + 4] == END.to_le_bytes() && at + END_BYTES + comment == archive.len()
        })
        .ok_or_else(|| malformed(archive.len(), "a zip archive without its directory; it may be truncated"))
}

struct WideEnd {
    offset: usize,
    entries: u64,
    size: u64,
    start: u64,
}

fn zip64_end(archive: &[u8], end: usize) -> Result<Option<WideEnd>, WeightError> {
    let Some(locator) = end.checked_sub(LOCATOR_BYTES) else {
        return Ok(None);
    };
    let mut reader = Reader::at(archive, locator);
    if reader.u32("a zip64 locator")? != END_ZIP64_LOCATOR {
        return Ok(None);
    }
    reader.u32("a zip64 locator")?;
    let offset = reader.u64("a zip64 locator")?;
    let wrong = || malformed(locator, "the zip64 end record is not where it should be");
    let at = usize::try_from(offset).map_err(|_| wrong())?;
    if at.checked_add(END_ZIP64_BYTES).is_none_or(|end| end > locator) {
        return Err(wrong());
    }
    let mut reader = Reader::at(archive, at);
    if reader.u32("a zip64 end record")? != END_ZIP64 {
        return Err(wrong());
    }
    // Its own size, two versions and two volume numbers.
    reader.take(8 + 2 + 2, "a zip64 end record")?;
    let volumes = reader.u64("a zip64 end record")?;
    let here = reader.u64("a zip64 end record")?;
    let entries = reader.u64("a zip64 end record")?;
    if volumes != 0 || here != entries {
        return Err(malformed(at, "a zip archive of several volumes"));
    }
    Ok(Some(WideEnd {
        offset: at,
        entries,
        size: reader.u64("a zip64 end record")?,
        start: reader.u64("a zip64 end record")?,
    }))
}

/// What an entry of the directory says, before any of it is believed.
struct Entry<'a> {
    /// Where the entry starts.
    offset: usize,
    name: &'a str,
    flags: u16,
    method: u16,
    packed: u32,
    size: u32,
    /// Where the member's local header starts.
    header: u32,
    extra: &'a [u8],
}

impl<'a> Entry<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, WeightError> {
        const WHAT: &str = "a zip directory entry";
        let offset = reader.position();
        if reader.u32(WHAT)? != CENTRAL_HEADER {
            return Err(malformed(offset, "no zip directory entry where one should be"));
        }
        // Two versions.
        reader.u32(WHAT)?;
        let flags = reader.u16(WHAT)?;
        let method = reader.u16(WHAT)?;
        // Time, date and checksum.
        reader.u64(WHAT)?;
        let packed = reader.u32(WHAT)?;
        let size = reader.u32(WHAT)?;
        let name_bytes = reader.u16(WHAT)?;
        let extra_bytes = reader.u16(WHAT)?;
        let comment_bytes = reader.u16(WHAT)?;
        // Volume and attributes.
        reader.take(2 + 2 + 4, WHAT)?;
        let header = reader.u32(WHAT)?;
        let name = reader.take(name_bytes.into(), WHAT)?;
        let name = std::str::from_utf8(name).map_err(|_| malformed(offset, "a zip member's name is not UTF-8"))?;
        let extra = reader.take(extra_bytes.into(), WHAT)?;
        reader.take(comment_bytes.into(), WHAT)?;
        Ok(Self { offset, name, flags, method, packed, size, header, extra })
    }
}

/// A member's name and the range of its bytes, every claim of its entry checked.
fn member<'a>(
    archive: &[u8],
    directory: &Directory,
    entry: &Entry<'a>,
) -> Result<(&'a str, Range<usize>), WeightError> {
    let &Entry { offset, name, flags, method, packed, size, header, extra } = entry;
    let not_stored = |how: String| WeightError::NotStored { member: printable(name), how };
    if flags & ENCRYPTED != 0 {
        return Err(not_stored("encrypted".to_owned()));
    }
    if method != 0 {
        return Err(not_stored(format!("compressed (method {method})")));
    }
    let [size, packed, header] =
        widen(extra, [size, packed, header]).ok_or_else(|| malformed(offset, "a zip64 field is missing"))?;
    if size != packed {
        return Err(not_stored(format!("of {size} bytes in {packed}")));
    }
    let start = data_start(archive, name, header)?;
    let end = usize::try_from(size)
        .ok()
        .and_then(|size| start.checked_add(size))
        .filter(|&end| end <= directory.start)
        .ok_or_else(|| WeightError::Truncated {
            what: "a zip member",
            offset: start,
            wanted: size,
            left: directory.start.saturating_sub(start),
        })?;
    Ok((name, start..end))
}

/// Replaces saturated 32-bit fields by those of the zip64 extra field, which holds only these, in
/// order.
fn widen(extra: &[u8], fields: [u32; 3]) -> Option<[u64; 3]> {
    let mut wide = fields.map(u64::from);
    if !fields.contains(&u32::MAX) {
        return Some(wide);
    }
    let mut reader = Reader::new(extra);
    loop {
        let id = reader.u16("").ok()?;
        let length = reader.u16("").ok()?;
        let content = reader.take(length.into(), "").ok()?;
        if id == ZIP64_FIELD {
            let mut content = Reader::new(content);
            for (wide, &field) in wide.iter_mut().zip(&fields) {
                if field == u32::MAX {
                    *wide = content.u64("").ok()?;
                }
            }
            return Some(wide);
        }
    }
}

/// Where a member's bytes start: behind its local header, which must name it too.
fn data_start(archive: &[u8], name: &str, header: u64) -> Result<usize, WeightError> {
    const WHAT: &str = "a zip member's header";
    let at = usize::try_from(header).unwrap_or(usize::MAX);
    let mut reader = Reader::at(archive, at);
    let wrong = || malformed(at, format!("no header of zip member `{}` here", printable(name)));
    if reader.u32(WHAT)? != LOCAL_HEADER {
        return Err(wrong());
    }
    // Version, flags, method, time, date, checksum and sizes.
    reader.take(2 * 5 + 4 * 3, WHAT)?;
    let name_bytes = reader.u16(WHAT)?;
    let extra_bytes = reader.u16(WHAT)?;
    if reader.take(name_bytes.into(), WHAT)? != name.as_bytes() {
        return Err(wrong());
    }
    reader.take(extra_bytes.into(), WHAT)?;
    Ok(reader.position())
}
