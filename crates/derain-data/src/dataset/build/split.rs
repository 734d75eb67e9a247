//! Which videos are for training and which for the test.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A side of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    /// To learn from.
    Train,
    /// To score on, never to learn from.
    Test,
}

impl Split {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Train, Self::Test];

    /// `train` or `test`, as the folders are called.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Test => "test",
        }
    }
}

impl fmt::Display for Split {
    /// [`Split::name`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The side of each video, by the hashes of their content in hexadecimal.
///
/// Contents are ranked by a hash of seed and content, and the first `fraction` of them are for the test: names and
/// order of the videos do not matter, and equal contents, which show one scene, go together.
pub(super) fn assign(hashes: &[String], fraction: f64, seed: u64) -> Vec<Split> {
    let distinct: BTreeSet<&String> = hashes.iter().collect();
    let mut ranked: Vec<([u8; 32], &String)> = distinct.into_iter().map(|hash| (rank(hash, seed), hash)).collect();
    ranked.sort_unstable();
    let all = ranked.len();
    let mut count = (fraction * all as f64).round() as usize;
    if all > 1 && fraction > 0.0 && fraction < 1.0 {
        count = count.clamp(1, all - 1);
    }
    let test: BTreeSet<&String> = ranked.into_iter().take(count).map(|(_, hash)| hash).collect();
    hashes.iter().map(|hash| if test.contains(hash) { Split::Test } else { Split::Train }).collect()
}

fn rank(hash: &str, seed: u64) -> [u8; 32] {
    Sha256::new().chain_update(seed.to_le_bytes()).chain_update(hash.as_bytes()).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hashes(count: usize) -> Vec<String> {
        (0..count).map(|index| format!("{index:064x}")).collect()
    }

    fn tests(hashes: &[String], fraction: f64, seed: u64) -> usize {
        assign(hashes, fraction, seed).iter().filter(|&&split| split == Split::Test).count()
    }

    #[test]
    fn names_are_the_same_everywhere() {
        for split in Split::ALL {
            assert_eq!(split.to_string(), split.name());
            assert_eq!(serde_json::to_string(&split).unwrap(), format!("\"{split}\""));
        }
    }

    #[test]
    fn the_fraction_is_kept_and_both_sides_get_one() {
        for (videos, fraction, expected) in [
            (10, 0.3, 3),
            (10, 0.01, 1),
            (10, 0.99, 9),
            (10, 0.0, 0),
            (10, 1.0, 10),
            (1, 0.1, 0),
            (1, 0.9, 1),
            (2, 0.1, 1),
            (0, 0.5, 0),
        ] {
            assert_eq!(tests(&hashes(videos), fraction, 5), expected, "{videos} {fraction}");
        }
    }

    #[test]
    fn neither_order_nor_copies_matter_but_the_seed_does() {
        let mut videos = hashes(40);
        let sides = assign(&videos, 0.25, 5);
        assert_ne!(sides, assign(&videos, 0.25, 6));
        videos.reverse();
        let reversed: Vec<Split> = assign(&videos, 0.25, 5).into_iter().rev().collect();
        assert_eq!(sides, reversed);
        // Copies stay with what they are copies of.
        let twice: Vec<String> = videos.iter().chain(&videos).cloned().collect();
        let sides = assign(&twice, 0.25, 5);
        assert_eq!(sides[..40], sides[40..]);
    }
}
