//! From a video to a video with other frames: sound, subtitles and times stay what they were.
//!
//! 1. [`VideoReader`] gives each stored frame with its time, upright.
//! 2. [`VideoEncoder`] encodes frames in groups, each of which can be decoded by itself. A group's bits depend on its
//!    frames and the options alone, so groups may be made by different runs of a program.
//! 3. [`Parts`] keeps finished groups in a folder, each on disk before the next is made: after a kill, only the last
//!    one is to be done again.
//! 4. [`write_video`] joins groups, the other streams of the input (packet by packet, not encoded again), chapters and
//!    metadata. The output appears under its name when it is whole, and tells what it was made from
//!    ([`MadeFrom`]). [`check_streams`] tells beforehand whether its container can hold those streams, [`Checked`]
//!    whether the input can be decoded to its end. Of a video that is damaged the frames before the damage can be
//!    taken.
//!
//! | kept | how |
//! | --- | --- |
//! | time of each frame | exactly in MP4 and MOV, steady or not; in Matroska to the millisecond, which is all that it stores |
//! | length of the last frame | as the container gave it, else as the one before |
//! | matrix and range of colours | those by which the frames were read; primaries and transfer as tagged |
//! | rotation | frames come upright, the output has none |
//! | bit depth | 8 bits are written, whatever was read |
//! | sound, subtitles | every packet, bit by bit |
//!
//! Frames are encoded as 4:2:0, chroma at the left of its pixels; those of an odd width or height as 4:4:4 where the
//! encoder can.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::path::Path;
//! use derain_data::transcode::{
//!     Checked, EncodeOptions, Ending, Origin, Parts, VideoEncoder, VideoReader, check_streams, write_video,
//! };
//!
//! let (input, output) = (Path::new("film.mp4"), Path::new("inverted.mp4"));
//! let mut reader = VideoReader::open(input)?;
//! let encoder = VideoEncoder::new(reader.format(), &EncodeOptions::default())?;
//! check_streams(input, output, &encoder)?;
//! Checked::of(input, None, || {})?;
//! let mut parts = Parts::begin(&Parts::folder_of(output), &Origin::of(input, &encoder)?)?;
//! let mut group = encoder.begin()?;
//! while let Some(mut frame) = reader.next_frame()? {
//!     image::imageops::invert(&mut frame.image);
//!     group.push(&frame)?;
//!     if group.is_full() {
//!         parts.save(&std::mem::replace(&mut group, encoder.begin()?).finish()?)?;
//!     }
//! }
//! if !group.is_empty() {
//!     parts.save(&group.finish()?)?;
//! }
//! write_video(input, output, &encoder, &parts, Ending::Input)?;
//! parts.remove()?;
//! # Ok(())
//! # }
//! ```

mod checked;
mod container;
mod encoder;
mod error;
mod fields;
mod group;
mod moment;
mod mux;
mod origin;
mod output;
mod parts;
mod planes;
mod stamp;
#[cfg(test)]
mod tests;

pub use super::video::{FrameTime, TimedFrame, VideoFormat, VideoReader};
pub use checked::Checked;
pub use container::check_container;
pub use encoder::{EncodeOptions, EncoderName, GroupEncoder, VideoEncoder};
pub use error::TranscodeError;
pub use group::EncodedGroup;
pub use mux::{Ending, WrittenVideo, check_streams, write_video};
pub use origin::Origin;
pub use parts::Parts;
pub use stamp::MadeFrom;
