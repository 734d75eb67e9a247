//! The videos that one call builds, and what has become of all.

use std::collections::HashMap;

use super::BuildEvent;
use super::manifest::DatasetVideo;
use super::plan::Plan;
use super::video::{Failure, VideoBuild};
use crate::judge::Judge;
use crate::{Error, Shard};

/// What has become of this call's share. Videos that another process was at are in neither.
pub(super) struct BuiltShare<'a> {
    /// Records by the videos' names.
    pub(super) finished: HashMap<&'a str, DatasetVideo>,
    /// Names of those that could not be used, and why.
    pub(super) failed: Vec<(String, Error)>,
}

/// What has become of all videos but the failed ones, in their order.
pub(super) struct Collected {
    pub(super) records: Vec<DatasetVideo>,
    /// Names of those that nobody has finished.
    pub(super) elsewhere: Vec<String>,
}

/// Builds a share of the videos, one after the other.
pub(super) fn build<'a>(
    builds: &[VideoBuild<'a>],
    plan: &Plan,
    shard: Shard,
    judge: &mut dyn Judge,
    observer: &mut dyn FnMut(BuildEvent<'_>),
) -> Result<BuiltShare<'a>, Error> {
    let (mut finished, mut failed) = (HashMap::new(), Vec::new());
    let share: Vec<&VideoBuild<'a>> = shard.of(builds).collect();
    for (index, build) in share.iter().enumerate() {
        let video = &build.planned.name;
        observer(BuildEvent::Started { video, done: index, of: share.len() });
        let _claim = match shard.is_part() {
            true => match build.tree.claim(video)? {
                Some(claim) => Some(claim),
                // Started twice: it is enough that one does it.
                None => continue,
            },
            false => None,
        };
        build.tree.check_plan(plan)?;
        match build.run(judge, observer) {
            Ok(record) => {
                observer(BuildEvent::Finished { video: &record });
                finished.insert(video.as_str(), record);
            }
            Err(Failure::Video(error)) => {
                observer(BuildEvent::Failed { video, error: &error });
                failed.push((video.clone(), error));
            }
            Err(Failure::Build(error)) => return Err(error),
        }
    }
    Ok(BuiltShare { finished, failed })
}

/// Adds what others have on disk to what this call has `finished`.
pub(super) fn collect(
    builds: &[VideoBuild<'_>],
    mut finished: HashMap<&str, DatasetVideo>,
    failed: &[(String, Error)],
) -> Result<Collected, Error> {
    let (mut records, mut elsewhere) = (Vec::new(), Vec::new());
    for build in builds {
        let name = build.planned.name.as_str();
        let record = match finished.remove(name) {
            Some(record) => Some(record),
            None => build.finished_record()?,
        };
        match record {
            Some(record) => records.push(record),
            None if failed.iter().any(|(failed, _)| failed == name) => {}
            None => elsewhere.push(name.to_owned()),
        }
    }
    Ok(Collected { records, elsewhere })
}
