//! The file that a video becomes, up to its first packet: streams, chapters and tags.

use std::io::{Seek, Write};
use std::path::Path;

use ffmpeg_next as ffmpeg;
use ffmpeg_next::format::context::{Input, Output, StreamIo};
use ffmpeg_next::format::stream::Disposition;
use ffmpeg_next::media::Type;

use super::moment::Moment;
use super::{TranscodeError, VideoEncoder, container, fields};
use crate::Error;

/// What tells of the old file, not of what is in it.
const FILE_TAGS: [&str; 4] = ["major_brand", "minor_version", "compatible_brands", "encoder"];
/// What tells of the old stream's encoding, and of how much there was; the first letters of the names.
const STREAM_TAGS: [&str; 2] = ["encoder", "rotate"];
const AMOUNT_TAGS: [&str; 4] = ["DURATION", "BPS", "NUMBER_OF_", "_STATISTICS_"];

/// A file name and FFmpeg's writer for it.
pub(super) struct Target<'a> {
    path: &'a Path,
    pub(super) muxer: &'static str,
}

/// An output with its header written.
pub(super) struct Opened {
    pub(super) sink: Output,
    /// For each stream of the input that of the output.
    pub(super) streams: Vec<Option<usize>>,
    /// Streams of the input that have none, in words.
    pub(super) left_out: Vec<String>,
}

impl<'a> Target<'a> {
    /// # Errors
    /// When the name is of no container that keeps times.
    pub(super) fn of(path: &'a Path) -> Result<Self, Error> {
        Ok(Self { path, muxer: container::of(path)? })
    }

    /// Begins to write the file to `place`, with pictures from `encoder` for the stream `video`. What begins at `cut`
    /// or later will not be there.
    pub(super) fn open(
        &self,
        source: &Input,
        video: usize,
        encoder: &VideoEncoder,
        cut: Option<Moment>,
        place: impl Write + Seek + Send + 'static,
    ) -> Result<Opened, Error> {
        let failed = |error: ffmpeg::Error| refused(self.path, error.to_string());
        let io = StreamIo::from_write_seek(place).map_err(failed)?;
        let mut sink = ffmpeg::format::output_to_stream(io, None, Some(self.muxer)).map_err(failed)?;
        let (mut streams, mut left_out) = (Vec::new(), Vec::new());
        let mut codecs = Vec::new();
        for stream in source.streams() {
            let (medium, codec) = (stream.parameters().medium(), stream.parameters().id());
            let is_video = stream.index() == video;
            if !self.copies(medium) && !is_video {
                left_out.push(format!("stream {} ({medium:?}, {codec:?})", stream.index()));
                streams.push(None);
                continue;
            }
            let index = sink.nb_streams() as usize;
            let mut added = sink.add_stream(ffmpeg::encoder::find(ffmpeg::codec::Id::None)).map_err(failed)?;
            added.set_time_base(if is_video { encoder.format.time_base } else { stream.time_base() });
            let mut tags = stream.metadata().to_owned();
            if is_video {
                added.set_parameters(encoder.parameters()?);
                added.set_avg_frame_rate(stream.avg_frame_rate());
                tags = without(stream.metadata(), |name| begins(name, &STREAM_TAGS) || begins(name, &AMOUNT_TAGS));
            } else {
                added.set_parameters(stream.parameters());
                fields::clear_codec_tag(&mut added);
                codecs.push(format!("{codec:?}"));
                if cut.is_some() {
                    tags = without(stream.metadata(), |name| begins(name, &AMOUNT_TAGS));
                }
            }
            added.set_metadata(tags);
            fields::set_disposition(&mut added, stream.disposition() & !Disposition::ATTACHED_PIC);
            streams.push(Some(index));
        }
        sink.set_metadata(without(source.metadata(), |name| FILE_TAGS.contains(&name)));
        add_chapters(source, &mut sink, cut).map_err(failed)?;
        self.write_header(&mut sink, &codecs)?;
        Ok(Opened { sink, streams, left_out })
    }

    /// Whether streams of a kind go into the output as they are; the pictures do not.
    fn copies(&self, medium: Type) -> bool {
        match medium {
            Type::Audio | Type::Subtitle => true,
            Type::Attachment => self.muxer == "matroska",
            _ => false,
        }
    }

    fn write_header(&self, sink: &mut Output, codecs: &[String]) -> Result<(), Error> {
        let mut options = ffmpeg::Dictionary::new();
        // Times are kept as they are, and nothing random is written: equal inputs give equal files.
        options.set("avoid_negative_ts", "disabled");
        options.set("fflags", "+bitexact");
        sink.write_header_with(options).map(drop).map_err(|error| {
            let held = if codecs.is_empty() { "pictures alone".into() } else { codecs.join(", ") };
            let muxer = self.muxer;
            let other = if muxer == "matroska" { ".mp4 or .mov" } else { ".mkv" };
            let reason = format!("FFmpeg's {muxer} container does not take its streams ({held}): {error}; try {other}");
            refused(self.path, reason)
        })
    }
}

pub(super) fn refused(path: &Path, reason: String) -> Error {
    TranscodeError::VideoWrite { path: path.to_owned(), reason }.into()
}

fn add_chapters(source: &Input, sink: &mut Output, cut: Option<Moment>) -> Result<(), ffmpeg::Error> {
    for (index, chapter) in source.chapters().enumerate() {
        let tags = chapter.metadata();
        let (unit, title) = (chapter.time_base(), tags.get("title").unwrap_or_default());
        let mut end = chapter.end();
        if let Some(cut) = cut {
            if !cut.is_after(Moment { time: chapter.start(), unit }) {
                continue;
            }
            end = end.min(cut.in_unit(unit));
        }
        sink.add_chapter(index as i64, unit, chapter.start(), end, title)?;
    }
    Ok(())
}

fn without<'a>(tags: ffmpeg::DictionaryRef<'_>, unwanted: impl Fn(&str) -> bool) -> ffmpeg::Dictionary<'a> {
    tags.iter().filter(|(name, _)| !unwanted(name)).collect()
}

fn begins(name: &str, starts: &[&str]) -> bool {
    starts.iter().any(|start| name.starts_with(start))
}
