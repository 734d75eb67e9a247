//! From arguments to the video.

use std::path::Path;
use std::path::PathBuf;

use anyhow::{Error, Result, anyhow, bail, ensure};
use derain::Derainer;
use derain::data;
use derain::data::paths::Shown;
use derain::data::transcode::{
    EncoderName, MadeFrom, Origin, Parts, TranscodeError, VideoEncoder, VideoReader, check_streams, write_video,
};

use crate::arguments::Arguments;
use crate::check::check;
use crate::pipeline::{self, Times};
use crate::progress::Progress;
use crate::support::{counted, describe, files};

pub(crate) enum Outcome {
    Done(Done),
    Skipped,
}

pub(crate) struct Done {
    pub(crate) frames: usize,
    /// Frames of an earlier run.
    pub(crate) resumed: usize,
    pub(crate) times: Times,
    pub(crate) encoder: EncoderName,
}

/// Makes the output. After an error, an output that was there is as it was, and finished parts are kept for `--resume`.
pub(crate) fn run(arguments: &Arguments, derainer: &Derainer) -> Result<Outcome> {
    let (input, output) = (&arguments.input, &arguments.output);
    let folder = Parts::folder_of(output);
    // The folder goes last, so an output without it is finished.
    let finished = arguments.resume && output.is_file() && !folder.exists();
    let reader = VideoReader::open(input)?;
    let encoder = VideoEncoder::new(reader.format(), &arguments.encode_options())?;
    let origin = Origin::of(input, &encoder)?
        .with("network", &derainer.network().to_string())
        .with("weights", derainer.weights_sha256())
        .with("device", &format!("{:?}", arguments.engine.device))
        .with("precision", arguments.engine.precision.name());
    if finished {
        Parts::clear_away(&folder)?;
        check_finished(arguments, &origin)?;
        return Ok(Outcome::Skipped);
    }
    if encoder.name() == EncoderName::Mpeg4 && arguments.encoder.is_none() {
        tracing::warn!("this FFmpeg has no libx264: the video is encoded as MPEG-4 part 2, which makes larger files");
    }
    if reader.format().is_deep() {
        tracing::warn!("{} has more than 8 bits a sample, the output has 8", input.shown());
    }
    // Not when all frames are done: another container may be needed.
    check_streams(input, output, &encoder)?;
    files::make_folder_of(output)?;
    files::remove_orphans([output].into_iter().chain(&arguments.json).map(PathBuf::as_path));
    let mut parts = begin(arguments, &origin)?;
    let checked = match check(arguments, reader.expected(), &mut parts) {
        Ok(checked) => checked,
        Err(refused) => {
            // Why it is refused says more.
            let _ = parts.give_up();
            return Err(refused);
        }
    };
    let frames = checked.count(arguments.length());
    parts.fit(frames).map_err(shorter)?;
    let resumed = parts.times().count();
    if resumed > 0 {
        tracing::info!("{resumed} frames are done already");
    }
    let progress = Progress::new("deraining", Some(frames), resumed);
    let times = pipeline::run(reader, derainer, &encoder, &mut parts, frames, &progress)?;
    drop(progress);
    let ending = checked.ending(arguments.length());
    let written = write_video(input, output, &encoder, &parts, ending).map_err(|error| kept(error, output))?;
    parts.remove()?;
    for stream in &written.left_out {
        tracing::warn!("left out: {stream}");
    }
    if written.rounded {
        tracing::warn!("times of frames are rounded to milliseconds, which is all that .mkv holds: .mp4 keeps them");
    }
    let done = Done { frames: written.frames, resumed, times, encoder: encoder.name() };
    say(arguments, &done);
    Ok(Outcome::Done(done))
}

/// That an output which is left alone is what this run would make.
fn check_finished(arguments: &Arguments, origin: &Origin) -> Result<()> {
    let (input, output) = (arguments.input.shown(), arguments.output.shown());
    let instead = "choose another output, or leave --resume out to replace it";
    let Some(made) = MadeFrom::of(&arguments.output)? else {
        bail!("{output} is there already and does not say that this example made it: {instead}");
    };
    ensure!(
        made.is_of(origin),
        "{output} is there already and was made from another video than {input}, or with other weights or options: {instead}"
    );
    if !made.has_length(arguments.length()) {
        let made = counted(made.frames, "frame");
        let wanted = arguments.length().map_or("all frames".to_owned(), |length| format!("--length {length}"));
        bail!("{output} is there already and was made of {made}; this run asks for {wanted}: {instead}");
    }
    tracing::info!("{output} is there already: skipped");
    Ok(())
}

fn begin(arguments: &Arguments, origin: &Origin) -> Result<Parts> {
    let folder = Parts::folder_of(&arguments.output);
    if arguments.restart {
        return Ok(Parts::restart(&folder, origin)?);
    }
    if !arguments.resume {
        return Parts::begin(&folder, origin).map_err(|error| match error {
            data::Error::Transcode(TranscodeError::PartsThere { .. }) => anyhow!("{error} (--resume or --restart)"),
            error => error.into(),
        });
    }
    Parts::resume(&folder, origin).map_err(|error| match error {
        data::Error::Transcode(TranscodeError::PartsDiffer { .. }) => anyhow!("{error} (--restart)"),
        error => error.into(),
    })
}

fn shorter(error: data::Error) -> Error {
    match error {
        data::Error::Transcode(TranscodeError::PartsPastEnd { .. }) => anyhow!("{error} (--length or --restart)"),
        error => error.into(),
    }
}

/// The failure at the end, and that it costs no frame: the folder's name is all that ties the parts to the output.
fn kept(error: data::Error, output: &Path) -> Error {
    let matroska = output.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("mkv"));
    let other = output.with_extension(if matroska { "mp4" } else { "mkv" });
    let (here, there) = (Parts::folder_of(output), Parts::folder_of(&other));
    anyhow!(
        "{}; the finished frames are kept in {}: --resume does not do them again, nor with -o {} if the folder is \
         renamed to {} first",
        describe(&error),
        here.shown(),
        other.shown(),
        there.shown()
    )
}

fn say(arguments: &Arguments, done: &Done) {
    let Done { frames, resumed, times: Times { inference, decoder, encoder }, .. } = done;
    let new = frames - resumed;
    let seconds = inference.as_secs_f64();
    let all = seconds + decoder.as_secs_f64() + encoder.as_secs_f64();
    let share = |part: f64| if all > 0.0 { 100.0 * part / all } else { 0.0 };
    tracing::info!(
        "{}: {}, {new} of them derained in {all:.2} s, {:.2} a second; \
         waiting took {:.1} % for decoding and {:.1} % for encoding",
        arguments.output.shown(),
        counted(*frames, "frame"),
        if all > 0.0 { new as f64 / all } else { 0.0 },
        share(decoder.as_secs_f64()),
        share(encoder.as_secs_f64()),
    );
}
