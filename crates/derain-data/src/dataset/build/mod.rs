//! From a folder of rain videos to a data set of pairs.
//!
//! ```text
//! OUT/train/rain/VIDEO-FRAME_X_Y.png      a patch of a frame, its corner at pixel (X, Y)
//! OUT/train/norain/VIDEO-FRAME_X_Y.png    the same patch of the video's clean image
//! OUT/test/…                              the same for the videos kept aside
//! OUT/clean/VIDEO.png                     the clean images
//! OUT/train.txt, test.txt                 lines `train/rain/… train/norain/…`
//! OUT/manifest.json                       options and provenance: hash, frames, percentile, judge, verdict, pairs
//! OUT/build/…                             what a resumed build goes by
//! ```
//!
//! The same videos and options give the same tree, byte by byte, for any number of threads, whether it was made in one go or in
//! many. A video is on one side only, and videos of equal content are on the same side.
//!
//! A kill leaves whole files: both patches of a pair are written before the clean one, and at once the rainy one, get their names, so no
//! rainy patch lacks its clean one, and at most one clean patch its rainy one; the lists name pairs that are there. A verdict is on disk
//! before anything is made from it. Going on makes what is missing, nothing twice.

mod lists;
mod manifest;
mod options;
mod patches;
mod plan;
mod split;
mod tree;
mod video;
mod videos;

use std::path::Path;

use crate::Error;
use crate::judge::Judge;

use plan::Plan;
use tree::Tree;
use video::{Failure, VideoBuild};

pub use manifest::{CleanChoices, DatasetVideo, Format, Manifest, RecordedVerdict};
pub use options::{BuildOptions, MovingScenes, Placement, Resume};
pub use split::Split;

pub(super) use tree::MANIFEST;

/// What a build is at, for a progress bar.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum BuildEvent<'a> {
    /// Reads a video whole for its hash.
    Hashing {
        /// The video's name.
        video: &'a str,
        /// How many have been read before.
        done: usize,
        /// How many there are.
        of: usize,
    },
    /// Begins with a video.
    Started {
        /// The video's name.
        video: &'a str,
        /// How many have been finished before.
        done: usize,
        /// How many there are.
        of: usize,
    },
    /// Has a verdict on a video.
    Judged {
        /// What is recorded about it.
        video: &'a DatasetVideo,
    },
    /// Has cut patches.
    Pairs {
        /// The video's name.
        video: &'a str,
        /// Pairs of the video that were looked at so far.
        done: usize,
        /// How many it has.
        of: usize,
    },
    /// Is done with a video.
    Finished {
        /// What is recorded about it.
        video: &'a DatasetVideo,
    },
    /// Cannot use a video; goes on with the others.
    Failed {
        /// The video's name.
        video: &'a str,
        /// Why.
        error: &'a Error,
    },
}

/// What a build has come to.
#[derive(Debug)]
#[non_exhaustive]
pub struct BuildReport {
    /// The manifest that was written.
    pub manifest: Manifest,
    /// Videos that could not be used, and why; they are no part of the set.
    pub failed: Vec<(String, Error)>,
}

/// Builds the data set `output` from the videos in `input`: files (`.y4m`, or whatever the feature `video` reads) and folders of frames.
///
/// Video after video: the clean image is made and judged, then patches are cut in parallel. A video that cannot be read is reported and
/// the others are done. The number of pairs of a video is [`BuildOptions::pairs_per_video`], or as many as there are non-overlapping
/// patches in all its frames, if fewer.
///
/// # Errors
/// Before anything is written: options that make no sense, no videos, names that collide, an output folder that is in use, was begun
/// differently or is not empty. Later: when the disk refuses or the judge gives no verdict.
pub fn build_dataset(
    input: &Path,
    output: &Path,
    options: &BuildOptions,
    resume: Resume,
    judge: &mut dyn Judge,
    observer: &mut dyn FnMut(BuildEvent<'_>),
) -> Result<BuildReport, Error> {
    options.check()?;
    let tree = Tree::new(output);
    tree.check_free(resume)?;
    let videos = videos::find(input, output)?;
    let hashes = videos::hash_all(&videos, observer)?;
    let plan = Plan::new(options, &videos, &hashes);
    let _lock = tree.begin(&plan)?;
    let (mut done, mut failed) = (Vec::new(), Vec::new());
    for (number, (video, planned)) in videos.iter().zip(&plan.videos).enumerate() {
        observer(BuildEvent::Started { video: &video.name, done: number, of: videos.len() });
        let build = VideoBuild { tree: &tree, options, path: &video.path, planned };
        match build.run(judge, observer) {
            Ok(record) => {
                observer(BuildEvent::Finished { video: &record });
                done.push(record);
            }
            Err(Failure::Video(error)) => {
                observer(BuildEvent::Failed { video: &video.name, error: &error });
                failed.push((video.name.clone(), error));
            }
            Err(Failure::Build(error)) => return Err(error),
        }
    }
    let unfinished = failed.iter().map(|(name, _)| name.clone()).collect();
    let manifest = Manifest::new(&plan, done, unfinished);
    lists::write(&tree, &manifest)?;
    tree.write_json(&tree.manifest(), &manifest)?;
    Ok(BuildReport { manifest, failed })
}

#[cfg(test)]
mod tests;
