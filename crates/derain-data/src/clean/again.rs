//! Reading the frames of a clean image once more, for those who judge it.

use derain_ops::temporal::at_rank;
use image::RgbImage;

use super::choice;
use super::{CleanImage, Interpolation, pass};
use crate::Error;

impl CleanImage {
    /// The frame that was pushed as number `index`, counted from 0; `None` if there are fewer.
    ///
    /// # Errors
    /// [`Error::Io`] if a spooled frame cannot be read back.
    pub fn frame(&self, index: usize) -> Result<Option<RgbImage>, Error> {
        let Some(frames) = self.frames.as_ref().filter(|frames| index < frames.count()) else { return Ok(None) };
        let (width, height) = frames.size();
        Ok(RgbImage::from_raw(width, height, frames.read(index)?))
    }

    /// A percentile (0..=100) of every pixel and channel over the earlier and over the later half of the frames; of an
    /// odd number, the middle one belongs to both. How far the two differ tells how far to trust the same percentile of
    /// all frames.
    ///
    /// # Errors
    /// [`Error::NoFramesGiven`], [`Error::InvalidOption`]; [`Error::Io`] if spooled frames cannot be read back.
    pub fn halves(&self, percentile: u8) -> Result<[RgbImage; 2], Error> {
        let count = self.frames();
        let half = count.div_ceil(2);
        Ok([self.percentile_of(0..half, percentile)?, self.percentile_of(count - half..count, percentile)?])
    }

    /// A percentile (0..=100) of every pixel and channel over all frames, whatever the votes, between two ranks
    /// interpolated.
    ///
    /// # Errors
    /// As [`CleanImage::halves`].
    pub fn percentile(&self, percentile: u8) -> Result<RgbImage, Error> {
        self.percentile_of(0..self.frames(), percentile)
    }

    fn percentile_of(&self, range: std::ops::Range<usize>, percentile: u8) -> Result<RgbImage, Error> {
        if percentile > 100 {
            return Err(Error::option("percentile", percentile, "from 0 to 100"));
        }
        let frames = self.given()?;
        let rank = choice::rank(percentile, range.len(), Interpolation::Linear);
        pass::picture(frames, &self.options, |slices, out| Ok(at_rank(&slices[range.clone()], rank, out)?))
    }
}

#[cfg(test)]
mod tests {
    use crate::clean::{CleanImage, CleanOptions};
    use image::{Rgb, RgbImage};

    fn levels(values: &[u8], max_memory: u64) -> CleanImage {
        let mut clip = CleanImage::new(CleanOptions { max_memory, ..CleanOptions::default() });
        for &value in values {
            clip.push(&RgbImage::from_pixel(3, 2, Rgb([value, 0, 255 - value]))).unwrap();
        }
        clip
    }

    #[test]
    fn frames_come_back_from_memory_and_disk() {
        let values = [9, 200, 40, 7, 41];
        for max_memory in [0, 60, 1 << 20] {
            let clip = levels(&values, max_memory);
            for (index, value) in values.into_iter().enumerate() {
                assert_eq!(clip.frame(index).unwrap().unwrap().get_pixel(2, 1).0, [value, 0, 255 - value]);
            }
            assert!(clip.frame(5).unwrap().is_none());
            let [dark, middle, bright] = [0, 50, 100].map(|p| clip.percentile(p).unwrap().get_pixel(0, 0).0);
            assert_eq!([dark, middle, bright], [[7, 0, 55], [40, 0, 215], [200, 0, 248]]);
        }
    }

    #[test]
    fn halves_share_the_middle_of_an_odd_number() {
        let of = |values: &[u8], percentile| {
            levels(values, 1 << 20).halves(percentile).unwrap().map(|half| half.get_pixel(1, 1).0[0])
        };
        assert_eq!(of(&[1, 2, 30, 40], 100), [2, 40]);
        assert_eq!(of(&[1, 2, 9, 30, 40], 0), [1, 9]);
        assert_eq!(of(&[1, 2, 9, 30, 40], 50), [2, 30]);
        assert_eq!(of(&[5], 50), [5, 5]);
        assert!(levels(&[], 0).halves(50).is_err() && levels(&[1], 0).halves(101).is_err());
    }
}
