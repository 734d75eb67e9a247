//! YUV4MPEG2: a header line, then per frame a line that starts with `FRAME` and the planes.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek};
use std::path::{Path, PathBuf};

use image::RgbImage;

use super::colour::{Plane, to_rgb};
use super::y4m_header::Header;
use super::{FrameOptions, FrameSource, MAX_FRAME_BYTES};
use crate::Error;

/// The longest line that is read. Writers stay far below; without a limit a file without line feeds
/// would be read whole.
const MAX_LINE: u64 = 4096;

const FRAME: &[u8] = b"FRAME";

pub(super) struct Y4mFrames {
    file: Walker,
    options: FrameOptions,
    count: usize,
    taken: usize,
}

impl Y4mFrames {
    /// Walks over all frame headers once, so that the number of frames is known.
    pub(super) fn open(path: &Path, options: &FrameOptions) -> Result<Self, Error> {
        let mut file = Walker::open(path)?;
        let start = file.position;
        let mut available = 0;
        while !file.at_end()? {
            match file.skip_frame() {
                Ok(()) => available += 1,
                // The frames before it can still be taken; reading up to it tells.
                Err(Error::BrokenStream { .. }) => {
                    available += 1;
                    break;
                }
                Err(other) => return Err(other),
            }
        }
        file.return_to(start)?;
        let count = options.count(available);
        if count == 0 {
            return Err(Error::NoFrames { path: path.to_owned(), start: options.start, available });
        }
        Ok(Self { file, options: options.clone(), count, taken: 0 })
    }
}

impl FrameSource for Y4mFrames {
    fn next_frame(&mut self) -> Result<Option<RgbImage>, Error> {
        let Some(wanted) = self.options.index(self.taken) else {
            return Ok(None);
        };
        while self.file.frame < wanted {
            if self.file.at_end()? {
                return Ok(None);
            }
            self.file.skip_frame()?;
        }
        if self.file.at_end()? {
            return Ok(None);
        }
        self.taken += 1;
        self.file.read_frame().map(Some)
    }

    fn size(&self) -> (u32, u32) {
        self.file.header.size
    }

    fn expected(&self) -> Option<usize> {
        Some(self.count)
    }
}

/// A file, frame after frame.
struct Walker {
    path: PathBuf,
    reader: BufReader<File>,
    /// Bytes of the file.
    length: u64,
    /// Bytes before the reader.
    position: u64,
    /// Frames before the reader.
    frame: usize,
    header: Header,
    plane_bytes: [u64; 2],
    /// The planes of the last frame.
    buffer: Vec<u8>,
}

impl Walker {
    fn open(path: &Path) -> Result<Self, Error> {
        let file = File::open(path).map_err(Error::io("open", path))?;
        let length = file.metadata().map_err(Error::io("read", path))?.len();
        let mut reader = BufReader::new(file);
        let mut line = Vec::new();
        (&mut reader).take(MAX_LINE).read_until(b'\n', &mut line).map_err(Error::io("read", path))?;
        let broken = |reason| Error::BrokenStream { path: path.to_owned(), frame: 0, reason };
        let text = line.strip_suffix(b"\n").ok_or_else(|| broken("its first line is no header of YUV4MPEG2".into()))?;
        let header = Header::parse(text).map_err(broken)?;
        let plane_bytes = header.plane_bytes().unwrap_or([u64::MAX; 2]);
        let rgb_bytes = plane_bytes[0].saturating_mul(3);
        if rgb_bytes > MAX_FRAME_BYTES {
            return Err(Error::TooLarge { path: path.to_owned(), bytes: rgb_bytes, limit: MAX_FRAME_BYTES });
        }
        let position = line.len() as u64;
        Ok(Self { path: path.to_owned(), reader, length, position, frame: 0, header, plane_bytes, buffer: Vec::new() })
    }

    fn frame_bytes(&self) -> u64 {
        self.plane_bytes[0] + 2 * self.plane_bytes[1]
    }

    fn at_end(&mut self) -> Result<bool, Error> {
        Ok(self.reader.fill_buf().map_err(Error::io("read", &self.path))?.is_empty())
    }

    fn return_to(&mut self, start: u64) -> Result<(), Error> {
        self.reader.seek(std::io::SeekFrom::Start(start)).map_err(Error::io("read", &self.path))?;
        (self.position, self.frame) = (start, 0);
        Ok(())
    }

    /// Reads the line before a frame, and makes sure that the planes follow it: nothing is reserved
    /// for bytes that are not there.
    fn begin_frame(&mut self) -> Result<(), Error> {
        let mut line = Vec::new();
        (&mut self.reader).take(MAX_LINE).read_until(b'\n', &mut line).map_err(Error::io("read", &self.path))?;
        self.position += line.len() as u64;
        if FRAME.starts_with(&line) {
            return Err(self.cut_short());
        }
        let parameters = line.strip_prefix(FRAME).and_then(|rest| rest.strip_suffix(b"\n"));
        if !parameters.is_some_and(|rest| rest.is_empty() || rest.starts_with(b" ")) {
            let reason = "no FRAME line stands where the frame should start".into();
            return Err(Error::BrokenStream { path: self.path.clone(), frame: self.frame, reason });
        }
        if self.length.saturating_sub(self.position) < self.frame_bytes() {
            return Err(self.cut_short());
        }
        Ok(())
    }

    fn skip_frame(&mut self) -> Result<(), Error> {
        self.begin_frame()?;
        let bytes = self.frame_bytes();
        // No overflow: the file is that long.
        self.reader.seek_relative(bytes.cast_signed()).map_err(Error::io("read", &self.path))?;
        self.position += bytes;
        self.frame += 1;
        Ok(())
    }

    fn read_frame(&mut self) -> Result<RgbImage, Error> {
        self.begin_frame()?;
        let bytes = self.frame_bytes();
        self.buffer.clear();
        (&mut self.reader).take(bytes).read_to_end(&mut self.buffer).map_err(Error::io("read", &self.path))?;
        self.position += bytes;
        let width = self.header.size.0 as usize;
        let across = self.header.encoding.across.samples(width);
        // Planes of the frame fit memory, so their sizes fit usize.
        let [luma, chroma] = self.plane_bytes.map(|bytes| bytes as usize);
        let plane = |from: usize, bytes: usize, stride| {
            self.buffer.get(from..from + bytes).map(|bytes| Plane { bytes, stride })
        };
        let blue = plane(luma, chroma, across);
        let red = plane(luma + chroma, chroma, across);
        let chroma = blue.zip(red).filter(|_| self.header.chroma).map(|(blue, red)| [blue, red]);
        let image = plane(0, luma, width)
            .filter(|_| chroma.is_some() == self.header.chroma)
            .and_then(|luma| to_rgb(self.header.size, luma, chroma, &self.header.encoding))
            // The file shrank meanwhile.
            .ok_or_else(|| self.cut_short())?;
        self.frame += 1;
        Ok(image)
    }

    /// The frame whose bytes are missing, and what is left to do.
    fn cut_short(&self) -> Error {
        let advice = if self.frame == 0 { "" } else { "read only the frames before it, or " };
        let reason = format!("the file ends within it; {advice}take another copy of the file");
        Error::BrokenStream { path: self.path.clone(), frame: self.frame, reason }
    }
}
