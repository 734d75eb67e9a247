//! The queue as the page reads it.

use serde::Serialize;

use super::queue::{Facts, Queue, Stage, Video};

/// Everything but the pictures.
#[derive(Serialize)]
pub(super) struct QueueView<'a> {
    /// What to ask with next time.
    changes: u64,
    videos: Vec<VideoView<'a>>,
}

#[derive(Serialize)]
struct VideoView<'a> {
    name: &'a str,
    stage: &'static str,
    frames: Option<usize>,
    /// Why it was rejected or failed.
    reason: Option<&'a str>,
    candidate: Option<&'a Facts>,
}

impl<'a> From<&'a Queue> for QueueView<'a> {
    fn from(queue: &'a Queue) -> Self {
        Self { changes: queue.changes, videos: queue.videos.iter().map(VideoView::from).collect() }
    }
}

impl<'a> From<&'a Video> for VideoView<'a> {
    fn from(video: &'a Video) -> Self {
        let (stage, frames, reason, candidate) = match &video.stage {
            Stage::Waiting => ("waiting", None, None, None),
            Stage::Computing(frames) => ("computing", *frames, None, None),
            Stage::Shown(shown) => ("shown", Some(shown.facts.frames), None, Some(&shown.facts)),
            Stage::Accepted(frames) => ("accepted", Some(*frames), None, None),
            Stage::Rejected(frames, reason) => ("rejected", Some(*frames), Some(reason.as_str()), None),
            Stage::Failed(why) => ("failed", None, Some(why.as_str()), None),
        };
        Self { name: &video.name, stage, frames, reason, candidate }
    }
}
