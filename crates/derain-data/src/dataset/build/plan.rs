//! What a build is of: written first, compared when it is resumed.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::options::BuildOptions;
use super::split::{Split, assign};
use super::videos::Video;

/// Options and videos of a build.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Plan {
    pub(super) options: BuildOptions,
    /// Who judges; builds begun by earlier versions do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) judge: Option<String>,
    pub(super) videos: Vec<PlannedVideo>,
}

/// A video's place in the build.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PlannedVideo {
    pub(super) name: String,
    pub(super) sha256: String,
    pub(super) split: Split,
}

impl Plan {
    pub(super) fn new(options: &BuildOptions, judge: &str, videos: &[Video], hashes: &[String]) -> Self {
        let splits = assign(hashes, options.test_fraction, options.seed);
        let videos = videos
            .iter()
            .zip(hashes)
            .zip(splits)
            .map(|((video, sha256), split)| PlannedVideo { name: video.name.clone(), sha256: sha256.clone(), split })
            .collect();
        Self { options: options.clone(), judge: Some(judge.to_owned()), videos }
    }

    /// Whether this plan is `begun` but for the judge, who may be another.
    pub(super) fn changes_judge_alone(&self, begun: &Self) -> bool {
        let same_judge = Self { judge: self.judge.clone(), ..begun.clone() };
        self.options.judge_changed && self.judge != begun.judge && self.difference(&same_judge).is_none()
    }

    /// The first thing in which this plan is not `begun`, for people.
    pub(super) fn difference(&self, begun: &Self) -> Option<String> {
        if let (Ok(now), Ok(then)) = (serde_json::to_value(&self.options), serde_json::to_value(&begun.options))
            && let Some(changed) = changed_option(&now, &then)
        {
            return Some(changed);
        }
        if let (Some(now), Some(then)) = (&self.judge, &begun.judge)
            && now != then
        {
            return Some(format!("the judge was {then} and is {now} now (`judge_changed` allows that)"));
        }
        let find = |plan: &Self, name: &str| plan.videos.iter().find(|video| video.name == name).cloned();
        for video in &begun.videos {
            match find(self, &video.name) {
                None => return Some(format!("the video {} is gone", video.name)),
                Some(now) if now.sha256 != video.sha256 => {
                    return Some(format!("the content of the video {} has changed", video.name));
                }
                Some(_) => {}
            }
        }
        let new = self.videos.iter().find(|video| find(begun, &video.name).is_none());
        new.map(|video| format!("the video {} is new", video.name))
    }
}

/// The first option that has another value, by the name of the innermost.
fn changed_option(now: &Value, then: &Value) -> Option<String> {
    let (name, value) = now.as_object()?.iter().find(|(name, value)| then.get(name) != Some(value))?;
    let before = then.get(name).unwrap_or(&Value::Null);
    Some(changed_option(value, before).unwrap_or_else(|| format!("{name} was {before} and is {value} now")))
}
