//! Decoding, inference and encoding side by side, frames in order.
//!
//! Each has its thread; queues of a few frames lie between them. Whoever fails drops its ends of the queues, by which
//! the others end, too.

use std::mem;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use derain::data::transcode::{FrameTime, Parts, TimedFrame, VideoEncoder, VideoReader};
use derain::{DerainedPicture, Derainer};
use image::DynamicImage;

use crate::progress::Progress;

/// Frames in a queue: enough that a slow frame on one side does not stop the other, and little memory.
const QUEUE: usize = 4;

/// How long the network computed, and how long it waited.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Times {
    pub(crate) inference: Duration,
    /// For a decoded frame.
    pub(crate) decoder: Duration,
    /// For the encoder to take one, and at the end to be done.
    pub(crate) encoder: Duration,
}

/// Does the frames that `parts` does not hold yet, until it holds `frames`.
pub(crate) fn run(
    reader: VideoReader,
    derainer: &Derainer,
    encoder: &VideoEncoder,
    parts: &mut Parts,
    frames: usize,
    progress: &Progress,
) -> Result<Times> {
    let done: Vec<FrameTime> = parts.times().collect();
    let (decoded, rainy) = sync_channel(QUEUE);
    let (clean, derained) = sync_channel(QUEUE);
    thread::scope(|scope| {
        let decoding = scope.spawn(move || decode(reader, &done, frames, &decoded));
        let encoding = scope.spawn(move || encode(encoder, parts, &derained));
        let mut times = Times::default();
        let inferred = infer(derainer, &rainy, &clean, &mut times, progress);
        // The ends of the queues that this thread holds: the decoder may be waiting to send, the encoder for more.
        drop((rainy, clean));
        let begun = Instant::now();
        let (decoded, encoded) = (join(decoding), join(encoding));
        times.encoder += begun.elapsed();
        // An encoder that failed ended the inference, and that the decoder: its reason comes first.
        encoded.and(inferred).and(decoded)?;
        Ok(times)
    })
}

fn join(thread: thread::ScopedJoinHandle<'_, Result<()>>) -> Result<()> {
    thread.join().unwrap_or_else(|_| Err(anyhow!("a thread panicked")))
}

/// Frames that are done are decoded only, since those after them may need them.
fn decode(
    mut reader: VideoReader,
    done: &[FrameTime],
    frames: usize,
    decoded: &SyncSender<Option<TimedFrame>>,
) -> Result<()> {
    for (index, time) in done.iter().enumerate() {
        let found = reader.skip_frame()?;
        ensure!(found == Some(*time), "frame {index} is not where it was: run with --restart to begin anew");
    }
    // A receiver that has gone says why itself.
    for index in done.len()..frames {
        let frame = reader.next_frame()?;
        ensure!(frame.is_some(), "{frames} frames were there, now {index} are: the video has changed");
        if decoded.send(frame).is_err() {
            return Ok(());
        }
    }
    let _ = decoded.send(None);
    Ok(())
}

fn infer(
    derainer: &Derainer,
    rainy: &Receiver<Option<TimedFrame>>,
    clean: &SyncSender<Option<TimedFrame>>,
    times: &mut Times,
    progress: &Progress,
) -> Result<()> {
    let mut most_bands = 1;
    loop {
        let begun = Instant::now();
        let received = rainy.recv();
        times.decoder += begun.elapsed();
        // Nothing: the decoder failed, and says why itself.
        let Ok(frame) = received else { return Ok(()) };
        let last = frame.is_none();
        let frame = match frame {
            Some(TimedFrame { image, time }) => {
                let begun = Instant::now();
                let DerainedPicture { image, bands, .. } =
                    derainer.derain_dynamic_with_attention(&DynamicImage::from(image))?;
                if bands > most_bands {
                    most_bands = bands;
                    tracing::warn!("frames are done in {bands} bands, for want of memory on the GPU");
                }
                let image = image.into_rgb8();
                times.inference += begun.elapsed();
                progress.advance();
                Some(TimedFrame { image, time })
            }
            None => None,
        };
        let begun = Instant::now();
        let sent = clean.send(frame);
        times.encoder += begun.elapsed();
        if sent.is_err() || last {
            return Ok(());
        }
    }
}

/// A group that other threads' failure cuts short is dropped: it would not be that of an unbroken run.
fn encode(encoder: &VideoEncoder, parts: &mut Parts, derained: &Receiver<Option<TimedFrame>>) -> Result<()> {
    let mut group = encoder.begin()?;
    while let Ok(frame) = derained.recv() {
        let last = frame.is_none();
        if let Some(frame) = frame {
            group.push(&frame)?;
        }
        if group.is_full() || (last && !group.is_empty()) {
            parts.save(&mem::replace(&mut group, encoder.begin()?).finish()?)?;
        }
        if last {
            break;
        }
    }
    Ok(())
}
