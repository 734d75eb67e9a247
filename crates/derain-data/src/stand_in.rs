//! Stand-ins for `crate::frames` and `crate::clean` until those are here: the same names, folders of PNG frames only, and the
//! median of each channel instead of the paper's percentile. To swap: remove this file, and `stand_in::` from every `crate::stand_in::`.

pub mod frames {
    //! Frames of a video.
    #![allow(missing_docs)]
    use crate::{Error, find_pictures, load_picture};
    use image::RgbImage;
    use std::path::{Path, PathBuf};

    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct FrameOptions {
        pub start: usize,
        pub stride: usize,
        pub length: Option<usize>,
    }

    impl Default for FrameOptions {
        fn default() -> Self {
            Self { start: 0, stride: 1, length: None }
        }
    }

    pub trait FrameSource {
        fn next_frame(&mut self) -> Result<Option<RgbImage>, Error>;
        fn size(&self) -> (u32, u32);
        fn expected(&self) -> Option<usize>;
    }

    struct Folder {
        names: std::vec::IntoIter<PathBuf>,
        size: (u32, u32),
    }

    impl FrameSource for Folder {
        fn next_frame(&mut self) -> Result<Option<RgbImage>, Error> {
            self.names.next().map(|path| Ok(load_picture(path)?.image.into_rgb8())).transpose()
        }
        fn size(&self) -> (u32, u32) {
            self.size
        }
        fn expected(&self) -> Option<usize> {
            Some(self.names.len())
        }
    }

    pub fn open_frames(path: &Path, options: &FrameOptions) -> Result<Box<dyn FrameSource + Send>, Error> {
        let names = find_pictures(path)?.into_iter().skip(options.start).step_by(options.stride);
        let names: Vec<PathBuf> =
            names.take(options.length.unwrap_or(usize::MAX)).map(|name| path.join(name)).collect();
        let first = names.first().ok_or_else(|| Error::NotAFile { path: path.to_owned() })?;
        let size = load_picture(first)?.image.into_rgb8().dimensions();
        Ok(Box::new(Folder { names: names.into_iter(), size }))
    }
}

pub mod clean {
    //! Clean images.
    #![allow(missing_docs)]
    use crate::Error;
    use image::RgbImage;

    #[derive(Clone, Debug, Default)]
    #[non_exhaustive]
    pub struct CleanOptions {
        pub mode_of: &'static str,
        pub mode_tie: &'static str,
        pub percentile_tie: &'static str,
        pub interpolation: &'static str,
        pub percentile: Option<u8>,
    }

    #[derive(Clone, Debug)]
    pub struct ModeRanges {
        pub min: [u64; 101],
        pub max: [u64; 101],
    }

    #[derive(Clone, Debug)]
    pub struct CleanResult {
        pub image: RgbImage,
        pub percentile: u8,
        pub votes: [u64; 101],
        pub mode_ranges: ModeRanges,
        pub frames: usize,
    }

    pub struct CleanImage {
        frames: Vec<RgbImage>,
    }

    impl CleanImage {
        pub fn new(_: CleanOptions) -> Self {
            Self { frames: Vec::new() }
        }
        pub fn push(&mut self, frame: &RgbImage) -> Result<(), Error> {
            self.frames.push(frame.clone());
            Ok(())
        }
        pub fn frames(&self) -> usize {
            self.frames.len()
        }
        pub fn result(&mut self) -> Result<CleanResult, Error> {
            let mut image = self.frames[0].clone();
            for (index, sample) in image.iter_mut().enumerate() {
                let mut values: Vec<u8> = self.frames.iter().map(|frame| frame.as_raw()[index]).collect();
                values.sort_unstable();
                *sample = values[values.len() / 2];
            }
            let mode_ranges = ModeRanges { min: [0; 101], max: [0; 101] };
            Ok(CleanResult { image, percentile: 50, votes: [0; 101], mode_ranges, frames: self.frames.len() })
        }
    }
}
