//! Two fields of an output stream that the bindings have no setters for.
#![allow(unsafe_code)] // the crate denies it elsewhere

use ffmpeg_next as ffmpeg;

/// Lets the container choose its own code for the stream's codec: that of another container may mean nothing in it.
pub(super) fn clear_codec_tag(stream: &mut ffmpeg::format::stream::StreamMut<'_>) {
    // SAFETY: the stream is of a living context, which `stream` borrows mutably; avformat_new_stream, which made it,
    // allocates `codecpar`, and that is freed with the context only.
    unsafe { (*(*stream.as_mut_ptr()).codecpar).codec_tag = 0 };
}

/// What the stream is for: default, forced, for those who cannot hear.
pub(super) fn set_disposition(
    stream: &mut ffmpeg::format::stream::StreamMut<'_>,
    disposition: ffmpeg::format::stream::Disposition,
) {
    // SAFETY: the stream is of a living context, which `stream` borrows mutably.
    unsafe { (*stream.as_mut_ptr()).disposition = disposition.bits() };
}
