//! What a build is of: written first, compared when it is resumed.

use serde::{Deserialize, Serialize};

use super::manifest::CleanChoices;
use super::options::BuildOptions;
use super::split::{Split, assign};
use super::videos::Video;

/// Options and videos of a build.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Plan {
    pub(super) options: BuildOptions,
    /// How clean images are made.
    pub(super) clean: CleanChoices,
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
    pub(super) fn new(options: &BuildOptions, videos: &[Video], hashes: &[String]) -> Self {
        let splits = assign(hashes, options.test_fraction, options.seed);
        let videos = videos
            .iter()
            .zip(hashes)
            .zip(splits)
            .map(|((video, sha256), split)| PlannedVideo { name: video.name.clone(), sha256: sha256.clone(), split })
            .collect();
        Self { options: options.clone(), clean: CleanChoices::from(&options.clean), videos }
    }

    /// The first thing in which this plan is not `begun`, for people.
    pub(super) fn difference(&self, begun: &Self) -> Option<String> {
        if let (Ok(now), Ok(then)) = (serde_json::to_value(&self.options), serde_json::to_value(&begun.options))
            && let (Some(now), Some(then)) = (now.as_object(), then.as_object())
            && let Some((name, value)) = now.iter().find(|(name, value)| then.get(*name) != Some(value))
        {
            let before = then.get(name).map_or("nothing".to_owned(), ToString::to_string);
            return Some(format!("{name} was {before} and is {value} now"));
        }
        if self.clean != begun.clean {
            return Some(format!(
                "clean images were made with {:?} and would be with {:?} now",
                begun.clean, self.clean
            ));
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
