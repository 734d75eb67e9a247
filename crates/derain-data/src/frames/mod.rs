//! Frames of a rain video, one after the other, whatever they come from.
//!
//! | source | read by | frame rate, duplicates |
//! | --- | --- | --- |
//! | folder of pictures | [`load_picture`](crate::load_picture), in natural order, folders below it left out | a picture is a frame |
//! | YUV4MPEG2 (`.y4m`) | own reader, 8 bits, any usual chroma format | a `FRAME` is a frame |
//! | anything else | FFmpeg, with the cargo feature `video` | each stored frame once, at whatever rate |
//!
//! [`open_frames`] tells them apart by content. Frames are upright 8-bit RGB of one size: rotation
//! from the container or from EXIF is applied, and a frame of another size is an error. What would
//! only pass for a frame is an error too: a frame cut short, one that the decoder made up for lost
//! bytes, fewer frames than the container promises.
//!
//! YCbCr becomes RGB with the matrix and range that the stream names. Where it names none: limited
//! range, BT.601, but BT.709 for videos (not `.y4m`) of 720 lines and more, as players do. Chroma is
//! interpolated linearly from where its samples lie.
//!
//! FFmpeg's own messages on standard error are switched off, for the whole process, when the first video is opened; a
//! program that has other uses for FFmpeg may set its log level again afterwards.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use derain_data::{FrameOptions, Y4mWriter, open_frames};
//! use image::{Rgb, RgbImage};
//!
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("grey.y4m");
//! let mut writer = Y4mWriter::new(std::fs::File::create(&path)?, 4, 2)?;
//! for level in [10, 20, 30] {
//!     writer.write(&RgbImage::from_pixel(4, 2, Rgb([level; 3])))?;
//! }
//! drop(writer);
//!
//! let mut frames = open_frames(&path, &FrameOptions { stride: 2, ..FrameOptions::default() })?;
//! assert_eq!(frames.expected(), Some(2));
//! while let Some(frame) = frames.next_frame()? {
//!     assert!(frame.pixels().all(|pixel| pixel.0 == [10; 3] || pixel.0 == [30; 3]));
//! }
//! # Ok(())
//! # }
//! ```

mod colour;
pub(crate) mod folder;
mod options;
#[cfg(feature = "video")]
pub mod transcode;
#[cfg(feature = "video")]
mod video;
mod y4m;
mod y4m_header;
mod y4m_writer;

use std::fs::File;
use std::io::Read;
use std::path::Path;

use image::RgbImage;

use crate::{Error, Insets, is_picture_name};

pub use options::FrameOptions;
pub use y4m_writer::Y4mWriter;

use folder::FolderFrames;
use y4m::Y4mFrames;

/// The largest frame, in bytes of RGB: the limit of [`LoadOptions`](crate::LoadOptions).
const MAX_FRAME_BYTES: u64 = 2 << 30;

/// Frames in the order in which they were taken.
pub trait FrameSource {
    /// The next frame, or `None` after the last.
    ///
    /// # Errors
    /// When a frame cannot be read, is broken or differs in size from the first, and in place of
    /// the final `None` when the source holds fewer frames than it says. The source is of no further
    /// use then.
    fn next_frame(&mut self) -> Result<Option<RgbImage>, Error>;

    /// Width and height of every frame, in pixels.
    fn size(&self) -> (u32, u32);

    /// How many frames [`next_frame`](Self::next_frame) will give in all, where the source tells.
    fn expected(&self) -> Option<usize>;

    /// Borders that some frame so far did not show: its nearest pixels stand there. Only frames laid over
    /// the first ([`steady`](crate::steady)) have any; a source around another hands its on.
    fn unseen(&self) -> Insets {
        Insets::default()
    }
}

/// Implements [`FrameSource`] for what points to a source: that source's frames.
macro_rules! frames_of_what_is_pointed_to {
    ($($pointer:ty),+) => {$(
        impl<S: FrameSource + ?Sized> FrameSource for $pointer {
            fn next_frame(&mut self) -> Result<Option<RgbImage>, Error> {
                (**self).next_frame()
            }

            fn size(&self) -> (u32, u32) {
                (**self).size()
            }

            fn expected(&self) -> Option<usize> {
                (**self).expected()
            }

            fn unseen(&self) -> Insets {
                (**self).unseen()
            }
        }
    )+};
}

frames_of_what_is_pointed_to!(&mut S, Box<S>);

/// Opens a folder of pictures, a YUV4MPEG2 file or, with the cargo feature `video`, any video that
/// FFmpeg decodes.
///
/// # Errors
/// When nothing is there, when it holds no frame that `options` choose, when the options make no
/// sense, and when the content is broken, not supported or no sequence of frames.
pub fn open_frames(path: impl AsRef<Path>, options: &FrameOptions) -> Result<Box<dyn FrameSource + Send>, Error> {
    let path = path.as_ref();
    options.check()?;
    let metadata = path.metadata().map_err(Error::io("read", path))?;
    if metadata.is_dir() {
        return Ok(Box::new(FolderFrames::open(path, options)?));
    }
    if !metadata.is_file() {
        return Err(Error::NotAFile { path: path.to_owned() });
    }
    if starts_with(path, y4m_header::MAGIC)? || path.extension().is_some_and(|name| name.eq_ignore_ascii_case("y4m")) {
        return Ok(Box::new(Y4mFrames::open(path, options)?));
    }
    if is_picture_name(path) {
        return Err(Error::NotFrames {
            path: path.to_owned(),
            hint: "it is one picture: name the folder of all of them",
        });
    }
    open_video(path, options)
}

#[cfg(feature = "video")]
fn open_video(path: &Path, options: &FrameOptions) -> Result<Box<dyn FrameSource + Send>, Error> {
    Ok(Box::new(video::VideoFrames::open(path, options)?))
}

#[cfg(not(feature = "video"))]
fn open_video(path: &Path, _: &FrameOptions) -> Result<Box<dyn FrameSource + Send>, Error> {
    let hint = "this build reads folders of pictures and .y4m; the cargo feature `video` adds the rest";
    Err(Error::NotFrames { path: path.to_owned(), hint })
}

fn starts_with(path: &Path, magic: &[u8]) -> Result<bool, Error> {
    let mut start = Vec::with_capacity(magic.len());
    let file = File::open(path).map_err(Error::io("open", path))?;
    file.take(magic.len() as u64).read_to_end(&mut start).map_err(Error::io("read", path))?;
    Ok(start == magic)
}

#[cfg(test)]
mod tests;
