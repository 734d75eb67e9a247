//! What the JPEG decoder would let pass: it fills the missing part of a cut or damaged file with
//! grey, and guesses the meaning of channels that the file does not tell.
//!
//! The check follows the markers of ITU-T T.81, annex B, from the start of the image to its end, and
//! the codes of its scans.

mod block;
mod huffman;
mod scan;
#[cfg(test)]
mod tests;

use scan::{Frame, Tables};

/// Why a JPEG would decode to a wrong picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// No end-of-image marker after the scans.
    Truncated,
    /// The coded data stop making sense at this row of pixels; they may be wrong before.
    Damaged { row: usize },
    /// A kind of JPEG whose colours would be guessed.
    Unsupported(&'static str),
}

const END_OF_IMAGE: u8 = 0xD9;
const HUFFMAN_TABLES: u8 = 0xC4;
const START_OF_SCAN: u8 = 0xDA;
const RESTART_INTERVAL: u8 = 0xDD;
const APP0: u8 = 0xE0;
const APP14: u8 = 0xEE;

/// Decoders refuse more, since a few bytes of a scan can stand for all blocks of a large picture.
const SCANS_MAX: usize = 100;

/// The first reason not to trust the pixels of `jpeg`, which starts with a start-of-image marker. The
/// data of pictures of more than `max_bytes` are not looked at.
pub(crate) fn find_flaw(jpeg: &[u8], max_bytes: u64) -> Option<Flaw> {
    let segments = Segments { jpeg, at: 2 };
    // Before any is followed.
    if segments.clone().filter(|segment| matches!(segment, Ok(Segment { marker: START_OF_SCAN, .. }))).count()
        > SCANS_MAX
    {
        return Some(Flaw::Unsupported("a JPEG of more than 100 scans"));
    }
    let mut marks = Marks::default();
    let mut tables = Tables::default();
    let mut frame: Option<Frame> = None;
    let mut damaged = None;
    for segment in segments {
        let Segment { marker, body, coded } = match segment {
            Ok(segment) => segment,
            Err(flaw) => return Some(flaw),
        };
        match marker {
            APP0 => marks.jfif |= body.starts_with(b"JFIF\0"),
            APP14 if body.starts_with(b"Adobe") => marks.adobe_transform = body.get(11).copied(),
            HUFFMAN_TABLES => tables.define(body),
            RESTART_INTERVAL => tables.restart_interval = restart_interval(body),
            START_OF_SCAN => {
                if let (Some(frame), None) = (&mut frame, damaged) {
                    damaged = frame.find_damage(body, &tables, coded);
                }
            }
            0xC0..=0xCF if !matches!(marker, 0xC8 | 0xCC) => {
                if let Some(kind) = untold_colours(body, marks) {
                    return Some(Flaw::Unsupported(kind));
                }
                frame = Frame::new(marker, body, max_bytes);
            }
            _ => {}
        }
    }
    damaged.map(|row| Flaw::Damaged { row })
}

/// A marker with its segment, and what is coded behind it if it begins a scan.
struct Segment<'a> {
    marker: u8,
    body: &'a [u8],
    coded: &'a [u8],
}

/// The segments from `at` to the end-of-image marker; [`Flaw::Truncated`] is the last if there is none.
#[derive(Clone)]
struct Segments<'a> {
    jpeg: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Segments<'a> {
    type Item = Result<Segment<'a>, Flaw>;

    fn next(&mut self) -> Option<Self::Item> {
        let jpeg = self.jpeg;
        if self.at > jpeg.len() {
            return None;
        }
        while let Some((marker, body_at)) = next_marker(jpeg, self.at) {
            match marker {
                END_OF_IMAGE => {
                    self.at = usize::MAX;
                    return None;
                }
                0x01 | 0xD0..=0xD8 => self.at = body_at, // markers without a segment
                _ => {
                    let Some(body) = segment(jpeg, body_at) else { break };
                    let begin = body_at + 2 + body.len();
                    self.at = if marker == START_OF_SCAN { skip_entropy_coded(jpeg, begin) } else { begin };
                    return Some(Ok(Segment { marker, body, coded: &jpeg[begin..self.at] }));
                }
            }
        }
        self.at = usize::MAX;
        Some(Err(Flaw::Truncated))
    }
}

/// The next marker at or after `at`, and where its segment begins. Stray bytes are skipped, as decoders do.
fn next_marker(jpeg: &[u8], mut at: usize) -> Option<(u8, usize)> {
    loop {
        at += jpeg.get(at..)?.iter().position(|&byte| byte == 0xFF)?;
        match *jpeg.get(at + 1)? {
            0x00 => at += 2,
            0xFF => at += 1, // fill byte
            marker => return Some((marker, at + 2)),
        }
    }
}

/// The content of the segment whose length field is at `at`.
fn segment(jpeg: &[u8], at: usize) -> Option<&[u8]> {
    let length = u16::from_be_bytes([*jpeg.get(at)?, *jpeg.get(at + 1)?]);
    jpeg.get(at + 2..at + usize::from(length).max(2))
}

/// In units of the scan; 0 is none.
fn restart_interval(segment: &[u8]) -> usize {
    segment.first_chunk().map_or(0, |interval| usize::from(u16::from_be_bytes(*interval)))
}

/// Past the coded samples and restart markers of a scan, to the next other marker or the end.
fn skip_entropy_coded(jpeg: &[u8], mut at: usize) -> usize {
    while let Some((marker, after)) = next_marker(jpeg, at) {
        if !matches!(marker, 0xD0..=0xD7) {
            return after - 2;
        }
        at = after;
    }
    jpeg.len()
}

/// The segments that say which colours the components are.
#[derive(Clone, Copy, Default)]
struct Marks {
    /// JFIF: grey or YCbCr.
    jfif: bool,
    /// Adobe: 0 for RGB or CMYK as they are, 1 for YCbCr, 2 for YCCK; inks are stored inverted.
    adobe_transform: Option<u8>,
}

/// What the components of a frame header are, if neither segment tells, or if they contradict each other.
fn untold_colours(frame: &[u8], marks: Marks) -> Option<&'static str> {
    let id = |index: usize| frame.get(6 + 3 * index).copied();
    match (frame.get(5), marks.adobe_transform) {
        (Some(4), Some(0 | 2)) | (Some(1), _) => None,
        (Some(4), _) => Some("a four-channel JPEG that does not tell its inks"),
        (Some(3), Some(0)) if marks.jfif => Some("a JPEG marked as both RGB and YCbCr"),
        (Some(3), None) if !marks.jfif && [id(0), id(1), id(2)] == [Some(b'R'), Some(b'G'), Some(b'B')] => {
            Some("a JPEG of untransformed RGB without a marker that says so")
        }
        (Some(3), _) => None,
        _ => Some("a JPEG of neither 1, 3 nor 4 channels"),
    }
}
