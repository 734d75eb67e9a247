//! Clean images that somebody looks at, or that are measured.

use std::io;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use derain::data::judge::{
    AutoJudge, Density, Judge, Judged, Schedule, TerminalJudge, Verdict, estimate_density, judged_clean_image,
};
use derain::data::{CleanOptions, CleanResult, Error, FrameOptions, FrameSource, Insets, open_frames, steady};
use image::RgbImage;

use crate::arguments::{Arguments, JudgeName};
use crate::progress::Progress;
use crate::support::counted;

/// An accepted clean image.
pub(crate) struct Accepted {
    pub(crate) clean: CleanResult,
    pub(crate) density: Density,
    /// Borders that not all frames show.
    pub(crate) unseen: Insets,
    /// Reading and decoding.
    pub(crate) decoding: Duration,
}

/// Makes clean images of more and more frames until the judge accepts one.
pub(crate) fn make(arguments: &Arguments, options: &CleanOptions) -> Result<Accepted> {
    let density = match arguments.density {
        Some(density) => density,
        None => {
            let estimate = estimate_density(open(arguments)?.as_mut())?;
            tracing::info!(
                "{:.0} % of the first {} frames is rain, taken for {}: --density overrides that",
                100.0 * estimate.covered,
                estimate.frames,
                estimate.density
            );
            estimate.density
        }
    };
    let mut schedule = Schedule::for_density(density);
    if let Some(frames) = arguments.wanted_frames() {
        schedule.first = frames;
        schedule.most = schedule.most.max(schedule.first);
        schedule.fewest = schedule.fewest.min(schedule.first);
    }
    let mut source = open(arguments)?;
    let video = arguments.input.file_name().unwrap_or(arguments.input.as_os_str()).to_string_lossy().into_owned();
    let mut judged = |judge: &mut dyn Judge, progress: Progress| -> Result<(Judged, Duration)> {
        let mut source = Timed { source: source.as_mut(), decoding: Duration::ZERO, progress };
        let judged = judged_clean_image(&mut source, &video, options, judge, &schedule)?;
        Ok((judged, source.decoding))
    };
    let (judged, decoding) = match arguments.judge {
        JudgeName::Auto => judged(&mut AutoJudge::default(), Progress::reading(None))?,
        JudgeName::Terminal => {
            let folder = tempfile::tempdir()?;
            // No bar where the questions stand.
            judged(&mut TerminalJudge::new(io::stdin().lock(), io::stderr(), folder.path()), Progress::hidden())?
        }
        JudgeName::Web => web(arguments, density, &mut judged)?,
        JudgeName::None => bail!("nobody judges"),
    };
    match judged.verdict {
        Verdict::Accept => {
            tracing::info!("accepted with {}", counted(judged.clean.frames, "frame"));
            Ok(Accepted { clean: judged.clean, density, unseen: judged.unseen, decoding })
        }
        Verdict::Reject { reason } => {
            bail!("not accepted: {reason} (without --judge the picture is made all the same)")
        }
        Verdict::MoreFrames => bail!("not accepted: more frames were wanted"),
    }
}

/// The frames from the first, with what is done about the camera.
fn open(arguments: &Arguments) -> Result<Box<dyn FrameSource + Send>> {
    let [start, stride] =
        [arguments.start, arguments.stride].map(|number| usize::try_from(number).unwrap_or(usize::MAX));
    let source = open_frames(&arguments.input, &FrameOptions { start, stride, length: None })?;
    Ok(steady(source, &arguments.camera.as_library())?)
}

type Judging<'a> = dyn FnMut(&mut dyn Judge, Progress) -> Result<(Judged, Duration)> + 'a;

/// Asks on a page that only this machine can reach; verdicts stay in a file beside the output.
#[cfg(feature = "review")]
fn web(arguments: &Arguments, density: Density, judged: &mut Judging<'_>) -> Result<(Judged, Duration)> {
    use derain::data::review::{ReviewOptions, ReviewServer};
    use std::io::Write;

    let mut verdicts = arguments.output.clone().into_os_string();
    verdicts.push(".verdicts.jsonl");
    let verdicts = std::path::PathBuf::from(verdicts);
    crate::support::files::make_folder_of(&verdicts)?;
    let server = ReviewServer::start(&verdicts, &ReviewOptions::default())?;
    // Not by the log, which a filter may silence.
    writeln!(io::stderr(), "judge the clean image at {}", server.url())?;
    judged(&mut server.judge().with_density(density), Progress::hidden())
}

#[cfg(not(feature = "review"))]
fn web(_: &Arguments, _: Density, _: &mut Judging<'_>) -> Result<(Judged, Duration)> {
    bail!("this build has no review page")
}

/// A source that counts its frames and the time they take.
struct Timed<'a> {
    source: &'a mut dyn FrameSource,
    decoding: Duration,
    progress: Progress,
}

impl FrameSource for Timed<'_> {
    fn next_frame(&mut self) -> Result<Option<RgbImage>, Error> {
        let begun = Instant::now();
        let frame = self.source.next_frame();
        self.decoding += begun.elapsed();
        self.progress.frame();
        frame
    }

    fn size(&self) -> (u32, u32) {
        self.source.size()
    }

    fn expected(&self) -> Option<usize> {
        self.source.expected()
    }

    fn unseen(&self) -> Insets {
        self.source.unseen()
    }
}
