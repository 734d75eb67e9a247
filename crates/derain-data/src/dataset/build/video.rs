//! One video: verdict, then patches.

use std::path::{Path, PathBuf};

use image::{DynamicImage, GenericImageView, ImageFormat, RgbImage};
use rayon::prelude::*;

use super::BuildEvent;
use super::manifest::{DatasetVideo, RecordedVerdict};
use super::options::{BuildOptions, MovingScenes};
use super::patches::{self, FramePatches};
use super::plan::PlannedVideo;
use super::tree::Tree;
use crate::clean::spool::is_of_spool;
use crate::dataset::DatasetError;
use crate::durable::{self, Staged};
use crate::frames::{FrameSource, open_frames};
use crate::judge::{AcceptAll, Judge, Judged, Schedule, Verdict, judged_clean_image};
use crate::paths::Shown;
use crate::{Camera, Error, Picture, encode_picture, load_picture, save_picture, steady};

/// Why a video is not done.
pub(super) enum Failure {
    /// It cannot be used; others may be.
    Video(Error),
    /// Nothing can go on: the disk refuses, or there is nobody to judge.
    Build(Error),
}

impl Failure {
    /// What went wrong while a clean image was made: frames that cannot be used, or a disk that takes none.
    fn of_clean_image(error: Error) -> Self {
        if is_of_spool(&error) { Self::Build(error) } else { Self::Video(error) }
    }
}

/// What is needed to do one video.
pub(super) struct VideoBuild<'a> {
    pub(super) tree: &'a Tree,
    pub(super) options: &'a BuildOptions,
    pub(super) path: &'a Path,
    pub(super) planned: &'a PlannedVideo,
}

impl VideoBuild<'_> {
    /// The video's record if nothing is left to do.
    pub(super) fn finished_record(&self) -> Result<Option<DatasetVideo>, Error> {
        Ok(self.record()?.filter(|record| self.is_complete(record)))
    }

    fn record(&self) -> Result<Option<DatasetVideo>, Error> {
        self.tree.read_json(&self.tree.record(&self.planned.name))
    }

    /// Does what has not been done yet, and returns the video's record.
    pub(super) fn run(
        &self,
        judge: &mut dyn Judge,
        observer: &mut dyn FnMut(BuildEvent<'_>),
    ) -> Result<DatasetVideo, Failure> {
        let path = self.tree.record(&self.planned.name);
        let begun = self.record().map_err(Failure::Build)?;
        let (mut record, clean) = match begun {
            Some(record) if self.is_complete(&record) => return Ok(record),
            Some(record) => {
                let clean = self.clean_image(&record)?;
                (record, clean)
            }
            None => self.judge_and_keep(judge)?,
        };
        observer(BuildEvent::Judged { video: &record });
        if record.verdict == RecordedVerdict::Accepted {
            record.pairs = Some(self.cut(&record, &clean, observer)?);
            self.tree.write_json(&path, &record).map_err(Failure::Build)?;
        }
        Ok(record)
    }

    /// The rainy and the clean patch.
    fn patch_paths(&self, name: &str) -> [PathBuf; 2] {
        self.tree.patch_folders(self.planned.split).map(|folder| folder.join(name))
    }

    fn is_whole(&self, name: &str) -> bool {
        self.patch_paths(name).iter().all(|path| path.is_file())
    }

    /// Whether nothing is left to do. What was removed since is to be made again.
    fn is_complete(&self, record: &DatasetVideo) -> bool {
        let made = |names: &Vec<String>| names.iter().all(|name| self.is_whole(name));
        let rejected = record.verdict == RecordedVerdict::Rejected;
        rejected || (self.tree.clean_image(&record.name).is_file() && record.pairs.as_ref().is_some_and(made))
    }

    /// The clean image that was accepted; made again, without asking, if it is gone.
    fn clean_image(&self, record: &DatasetVideo) -> Result<RgbImage, Failure> {
        let path = self.tree.clean_image(&record.name);
        if path.is_file() {
            return Ok(load_picture(&path).map_err(Failure::Build)?.image.into_rgb8());
        }
        let schedule = Schedule::fixed(record.frames);
        let mut source = self.open()?;
        let judged = judged_clean_image(source.as_mut(), &record.name, &self.options.clean, &mut AcceptAll, &schedule);
        let image = judged.map_err(Failure::of_clean_image)?.clean.image;
        save_picture(&path, &Picture::from(DynamicImage::from(image.clone()))).map_err(Failure::Build)?;
        Ok(image)
    }

    fn open(&self) -> Result<Box<dyn FrameSource + Send>, Failure> {
        let source = open_frames(self.path, &self.options.frames()).map_err(Failure::Video)?;
        let (size, crop) = (source.size(), self.options.patch);
        match size.0 < crop || size.1 < crop {
            true => {
                let picture = format!("a frame of {}", self.path.shown());
                Err(Failure::Video(DatasetError::SmallerThanCrop { picture, size, crop }.into()))
            }
            false => Ok(source),
        }
    }

    /// Has the clean image judged, and puts image and verdict on disk, in this order: a verdict has its image.
    fn judge_and_keep(&self, judge: &mut dyn Judge) -> Result<(DatasetVideo, RgbImage), Failure> {
        let PlannedVideo { name, sha256, split } = self.planned;
        let camera = match self.options.moving {
            MovingScenes::Refuse => Camera::Still,
            MovingScenes::Keep => Camera::Unchecked,
        };
        let mut source = steady(self.open()?, &camera).map_err(Failure::Video)?;
        let mut judge = Guarded { judge, refused: false };
        let judged = judged_clean_image(source.as_mut(), name, &self.options.clean, &mut judge, &self.options.schedule);
        let Judged { clean, verdict, .. } = match judged {
            Ok(judged) => judged,
            Err(error) if judge.refused => return Err(Failure::Build(error)),
            Err(error) => return Err(Failure::of_clean_image(followable(error))),
        };
        let (verdict, reason) = match verdict {
            Verdict::Accept => (RecordedVerdict::Accepted, None),
            Verdict::Reject { reason } => (RecordedVerdict::Rejected, Some(reason)),
            // The loop ends with one of the others.
            Verdict::MoreFrames => (RecordedVerdict::Rejected, None),
        };
        // A rejected video is done with that.
        let pairs = (verdict == RecordedVerdict::Rejected).then(Vec::new);
        let record = DatasetVideo {
            name: name.clone(),
            sha256: sha256.clone(),
            split: *split,
            size: source.size(),
            frames: clean.frames,
            percentile: clean.percentile,
            judge: judge.name().to_owned(),
            verdict,
            reason,
            pairs,
        };
        self.keep(&record, &clean.image).map_err(Failure::Build)?;
        Ok((record, clean.image))
    }

    fn keep(&self, record: &DatasetVideo, clean: &RgbImage) -> Result<(), Error> {
        self.tree.remove_patches(self.planned)?;
        if record.verdict == RecordedVerdict::Accepted {
            let image = Picture::from(DynamicImage::from(clean.clone()));
            save_picture(self.tree.clean_image(&record.name), &image)?;
        }
        self.tree.write_json(&self.tree.record(&record.name), record)
    }

    /// Cuts the pairs and returns their names.
    fn cut(
        &self,
        record: &DatasetVideo,
        clean: &RgbImage,
        observer: &mut dyn FnMut(BuildEvent<'_>),
    ) -> Result<Vec<String>, Failure> {
        let chosen = patches::choose(self.options, &record.sha256, record.size, record.frames);
        let of = chosen.iter().map(|patches| patches.corners.len()).sum();
        let mut source = self.open()?;
        let (mut names, mut done, mut read) = (Vec::new(), 0, 0);
        for patches in &chosen {
            let frame = loop {
                let frame = source.next_frame().map_err(Failure::Video)?;
                let ended = || Error::TooFewFrames { video: record.name.clone(), frames: read, fewest: record.frames };
                let frame = frame.ok_or_else(|| Failure::Video(ended()))?;
                read += 1;
                if read == patches.frame + 1 {
                    break frame;
                }
            };
            names.extend(self.cut_frame(&frame, clean, patches).map_err(Failure::Build)?);
            done += patches.corners.len();
            observer(BuildEvent::Pairs { video: &record.name, done, of });
        }
        Ok(names)
    }

    /// Cuts the patches of one frame. Files are written in parallel and get their names one pair after the other when
    /// all are whole, so that a kill falls between the names of at most one pair.
    fn cut_frame(&self, frame: &RgbImage, clean: &RgbImage, patches: &FramePatches) -> Result<Vec<String>, Error> {
        let number = self.options.frame_number(patches.frame);
        let stage = |&(x, y): &(u32, u32)| {
            let name = format!("{}-{number}_{x}_{y}.png", self.planned.name);
            let made =
                if self.is_whole(&name) { Some(None) } else { self.stage([frame, clean], (x, y), &name)?.map(Some) };
            Ok(made.map(|staged| (name, staged)))
        };
        let staged: Vec<Option<(String, Option<[Staged; 2]>)>> =
            patches.corners.par_iter().map(stage).collect::<Result<_, Error>>()?;
        let mut names = Vec::with_capacity(staged.len());
        for (name, files) in staged.into_iter().flatten() {
            if let Some([rain, norain]) = files {
                norain.commit()?;
                rain.commit()?;
            }
            names.push(name);
        }
        self.tree.patch_folders(self.planned.split).iter().try_for_each(|folder| durable::sync(folder))?;
        Ok(names)
    }

    /// Writes the rainy and the clean patch, unless they are too much alike.
    fn stage(&self, whole: [&RgbImage; 2], (x, y): (u32, u32), name: &str) -> Result<Option<[Staged; 2]>, Error> {
        let side = self.options.patch;
        let patches = whole.map(|picture| picture.view(x, y, side, side).to_image());
        if self.options.least_difference.is_some_and(|least| !differs_by_more(&patches[0], &patches[1], least)) {
            return Ok(None);
        }
        let [rain_path, norain_path] = self.patch_paths(name);
        let [rain, norain] =
            patches.map(|patch| encode_picture(&Picture::from(DynamicImage::from(patch)), ImageFormat::Png));
        Ok(Some([Staged::new(&rain_path, &rain?)?, Staged::new(&norain_path, &norain?)?]))
    }
}

/// A build registers no frames, so it must not advise to.
fn followable(mut error: Error) -> Error {
    if let Error::SceneMoves { advice, .. } | Error::PartsMove { advice, .. } = &mut error {
        *advice = "leave the video out, or take it with `MovingScenes::Keep` (`--keep-moving`)";
    }
    error
}

fn differs_by_more(a: &RgbImage, b: &RgbImage, least: u8) -> bool {
    a.as_raw().iter().zip(b.as_raw()).any(|(a, b)| a.abs_diff(*b) > least)
}

/// Tells a judge's errors from those of the video.
struct Guarded<'a> {
    judge: &'a mut dyn Judge,
    refused: bool,
}

impl Judge for Guarded<'_> {
    fn name(&self) -> &str {
        self.judge.name()
    }

    fn judge(&mut self, candidate: &crate::judge::Candidate<'_>) -> Result<Verdict, Error> {
        self.judge.judge(candidate).inspect_err(|_| self.refused = true)
    }
}
