//! From a folder of rain videos to a data set of pairs.
//!
//! ```text
//! OUT/train/rain/VIDEO-FRAME_X_Y.png      a patch of a frame, its corner at pixel (X, Y)
//! OUT/train/norain/VIDEO-FRAME_X_Y.png    the same patch of the video's clean image
//! OUT/test/…                              the same for the videos kept aside
//! OUT/clean/VIDEO.png                     the clean images
//! OUT/train.txt, test.txt                 lines `train/rain/… train/norain/…`
//! OUT/manifest.json                       options and provenance: hash, frames, percentile, judge, verdict, pairs
//! OUT/build/…                             what a resumed build goes by, and what keeps two from doing the same
//! ```
//!
//! The same videos and options give the same tree, byte by byte, for any number of threads, whether it was made in one
//! go or in many. A video is on one side only, and videos of equal content are on the same side.
//!
//! A kill leaves whole files: both patches of a pair are written before the clean one, and at once the rainy one, get
//! their names, so no rainy patch lacks its clean one, and at most one clean patch its rainy one; the lists name pairs
//! that are there. A verdict is on disk before anything is made from it. Going on makes what is missing, nothing twice.

mod lists;
mod manifest;
mod options;
mod patches;
mod plan;
mod share;
mod split;
mod tree;
mod video;
mod videos;

use std::path::{Path, PathBuf};

use crate::Error;
use crate::judge::Judge;

use plan::Plan;
use share::{BuiltShare, Collected};
use tree::Tree;
use video::VideoBuild;
use videos::Found;

pub use manifest::{DatasetVideo, Format, Manifest, RecordedVerdict};
pub use options::{BuildOptions, MovingScenes, PatchPlacement, Resume};
pub use split::Split;

pub(super) use tree::MANIFEST;

/// What a build is at, for a progress bar.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum BuildEvent<'a> {
    /// Passes over files that do not end as those of videos do. Said once, before the videos are read.
    PassedOver {
        /// The files, in natural order.
        files: &'a [PathBuf],
    },
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
    /// The manifest that was written; of the videos done so far if there are some `elsewhere`.
    pub manifest: Manifest,
    /// Videos that could not be used, and why; they are no part of the set.
    pub failed: Vec<(String, Error)>,
    /// Videos that other shards have not finished. Lists and manifest are written by the shard that sees none, or by a
    /// whole build that goes on.
    pub elsewhere: Vec<String>,
}

/// Builds the data set `output` from the videos in `input`: files (`.y4m`, or whatever the feature `video` reads) and
/// folders of frames. `output` may lie in `input`, also in a folder of its own there.
///
/// Video after video: the clean image is made and judged, then patches are cut in parallel. A video that cannot be
/// decoded is reported and the others are done; the bytes of all must be there to read. The number of pairs of a video
/// is [`BuildOptions::pairs_per_video`], or as many as there are non-overlapping patches in the frames that its clean
/// image is made of, if fewer.
///
/// With [`BuildOptions::shard`], several machines that see the same folders build one data set, each its share of the
/// videos, at once or one after the other; every share goes on with what it finds there, whatever `resume` says. The
/// last one to finish writes the lists and the manifest, and the tree is the same as one machine's. Where a video has
/// failed or a machine was lost, a whole build that goes on ([`Resume::Continue`]) does what is missing and writes
/// them.
///
/// # Errors
/// Before anything is written: options that make no sense, no videos, names that collide, a file that cannot be read,
/// an output folder that is in use, was begun differently (or with another judge, without
/// [`BuildOptions::judge_changed`]) or is not empty. Later: when the disk refuses or the judge gives no verdict.
pub fn build_dataset(
    input: impl AsRef<Path>,
    output: impl AsRef<Path>,
    options: &BuildOptions,
    resume: Resume,
    judge: &mut dyn Judge,
    observer: &mut dyn FnMut(BuildEvent<'_>),
) -> Result<BuildReport, Error> {
    let (input, output) = (input.as_ref(), output.as_ref());
    options.check()?;
    let tree = Tree::new(output);
    tree.check_free(if options.shard.is_part() { Resume::Continue } else { resume })?;
    let Found { videos, others } = videos::find(input, output)?;
    if !others.is_empty() {
        observer(BuildEvent::PassedOver { files: &others });
    }
    let hashes = videos::hash_all(&videos, observer)?;
    let plan = Plan::new(options, judge.name(), &videos, &hashes);
    let lock = tree.begin(&plan, options.shard)?;
    let builds: Vec<VideoBuild<'_>> = videos
        .iter()
        .zip(&plan.videos)
        .map(|(video, planned)| VideoBuild { tree: &tree, options, path: &video.path, planned })
        .collect();
    let BuiltShare { finished, failed } = share::build(&builds, &plan, options.shard, judge, observer)?;
    let Collected { records, elsewhere } = share::collect(&builds, finished, &failed)?;
    let unfinished = failed.iter().map(|(name, _)| name.clone()).collect();
    let manifest = Manifest::new(&plan, records, unfinished);
    if elsewhere.is_empty() {
        lists::write(&tree, &manifest)?;
        tree.write_json(&tree.manifest(), &manifest)?;
        tree.clear(&lock)?;
    }
    Ok(BuildReport { manifest, failed, elsewhere })
}

#[cfg(test)]
mod judge_tests;
#[cfg(test)]
mod shard_tests;
#[cfg(test)]
mod tests;
