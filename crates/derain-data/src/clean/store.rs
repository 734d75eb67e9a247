//! The frames of a clip: in memory as far as that goes, the others in a file.

use std::ops::Range;
use std::path::PathBuf;

use derain_ops::temporary::folder_on_disk;
use rayon::prelude::*;

use super::CleanOptions;
use super::spool::{Spool, WRITE};
use crate::Error;
use crate::brief_debug::brief_debug;

/// Bytes of 64 RGB pixels. Bands and parts of frames begin at multiples of it, so that no pixel is cut and vectors stay
/// full.
pub(super) const UNIT: usize = 3 * 64;

/// The shortest band that is read from a file at a time, however little memory may be taken.
const SHORTEST_BAND: usize = 16 * UNIT;

/// This part of the memory is for reading bands back: an eighth of the default is 256 MiB, a MiB for each of 256
/// frames, which even disks with moving heads read at full speed.
const BAND_SHARE: u64 = 8;

/// Frames of one size.
pub(super) struct Frames {
    size: (u32, u32),
    kept: Vec<Vec<u8>>,
    spool: Option<Spool>,
}

brief_debug!(Frames, |frames| { size: frames.size, kept: frames.kept.len(), spooled: frames.spooled() });

impl Frames {
    /// None yet, of such a width and height.
    pub(super) fn new(size: (u32, u32)) -> Self {
        Self { size, kept: Vec::new(), spool: None }
    }

    /// Width and height.
    pub(super) fn size(&self) -> (u32, u32) {
        self.size
    }

    /// Bytes of one frame.
    pub(super) fn bytes(&self) -> usize {
        3 * self.size.0 as usize * self.size.1 as usize
    }

    pub(super) fn count(&self) -> usize {
        self.kept.len() + self.spooled()
    }

    /// How many of them are in the file.
    pub(super) fn spooled(&self) -> usize {
        self.spool.as_ref().map_or(0, Spool::frames)
    }

    /// Adds a copy of a frame of the right length.
    pub(super) fn push(&mut self, frame: &[u8], options: &CleanOptions) -> Result<(), Error> {
        match self.fits(options)? {
            true => self.kept.push(frame.to_vec()),
            false => self.spool(options)?.push(frame)?,
        }
        Ok(())
    }

    /// Adds a frame of the right length.
    pub(super) fn push_owned(&mut self, frame: Vec<u8>, options: &CleanOptions) -> Result<(), Error> {
        match self.fits(options)? {
            true => self.kept.push(frame),
            false => self.spool(options)?.push(&frame)?,
        }
        Ok(())
    }

    /// Whether memory takes one more. At the first frame, also whether the disk takes what memory will not.
    fn fits(&mut self, options: &CleanOptions) -> Result<bool, Error> {
        let most = (options.max_memory - options.max_memory / BAND_SHARE) / self.bytes() as u64;
        if let (0, Some(expected)) = (self.count(), options.expected_frames) {
            let beyond = (expected as u64).saturating_sub(most);
            if beyond > 0 {
                Spool::check_space(&folder(options)?, beyond.saturating_mul(self.bytes() as u64))?;
            }
        }
        Ok((self.kept.len() as u64) < most)
    }

    fn spool(&mut self, options: &CleanOptions) -> Result<&mut Spool, Error> {
        let spool = match self.spool.take() {
            Some(spool) => spool,
            None => Spool::new(folder(options)?, self.bytes())?,
        };
        Ok(self.spool.insert(spool))
    }

    /// The bytes of one frame, which must be there.
    pub(super) fn read(&self, index: usize) -> Result<Vec<u8>, Error> {
        match (self.kept.get(index), &self.spool) {
            (Some(frame), _) => Ok(frame.clone()),
            (None, Some(spool)) => {
                let mut frame = vec![0; self.bytes()];
                spool.read(index - self.kept.len(), 0, &mut frame)?;
                Ok(frame)
            }
            (None, None) => Ok(Vec::new()),
        }
    }

    /// Calls `each` with the place of a band in a frame and with that band of every frame, band after band, until all
    /// is covered.
    pub(super) fn for_each_band(
        &self,
        options: &CleanOptions,
        mut each: impl FnMut(Range<usize>, &[&[u8]]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let Some(spool) = self.spool.as_ref().filter(|spool| spool.frames() > 0) else {
            let slices: Vec<&[u8]> = self.kept.iter().map(Vec::as_slice).collect();
            return each(0..self.bytes(), &slices);
        };
        let share = options.max_memory / BAND_SHARE / spool.frames() as u64;
        let share = usize::try_from(share).unwrap_or(usize::MAX) / UNIT * UNIT;
        let length = share.max(SHORTEST_BAND).min(self.bytes());
        let mut buffer = vec![0; length * spool.frames()];
        for start in (0..self.bytes()).step_by(length) {
            let band = start..self.bytes().min(start + length);
            let parts = buffer.par_chunks_mut(length).enumerate();
            parts.try_for_each(|(frame, part)| spool.read(frame, start, &mut part[..band.len()]))?;
            let kept = self.kept.iter().map(|frame| &frame[band.clone()]);
            let slices: Vec<&[u8]> = kept.chain(buffer.chunks(length).map(|part| &part[..band.len()])).collect();
            each(band, &slices)?;
        }
        Ok(())
    }
}

/// The folder that is named, or one for temporary files that is not memory itself.
fn folder(options: &CleanOptions) -> Result<PathBuf, Error> {
    let found = options.spool_folder.clone().map_or_else(folder_on_disk, Ok);
    found.map_err(Error::io(WRITE, &std::env::temp_dir()))
}
