//! How many frames.

use serde::{Deserialize, Serialize};

use crate::{Density, Error};

/// Frames that dense rain may need, by the paper.
const MOST: usize = 300;

/// With two frames the mode is the smaller value; three are the fewest of which most can agree.
const FEWEST: usize = 3;

impl Density {
    /// Frames that the paper begins with: 20, 100, 200.
    #[must_use]
    pub fn frames(self) -> usize {
        match self {
            Self::Sparse => 20,
            Self::Normal => 100,
            Self::Dense => 200,
        }
    }
}

/// How many frames the candidates are made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// The first candidate's.
    pub first: usize,
    /// How many are added the first time that more are wanted, the second time and so on; the last number goes on being
    /// added.
    pub growth: Vec<usize>,
    /// Never more than these.
    pub most: usize,
    /// A video with fewer frames than this is an error; one with fewer than `first` is used as it is.
    pub fewest: usize,
}

impl Schedule {
    /// The paper's: 20, 100 or 200 frames, then 10, 20 and 50 more and 50 more each time, up to 300; at least 3.
    #[must_use]
    pub fn for_density(density: Density) -> Self {
        Self { first: density.frames(), growth: vec![10, 20, 50], most: MOST, fewest: FEWEST }
    }

    /// Always `frames`: nothing is left to ask for.
    #[must_use]
    pub fn fixed(frames: usize) -> Self {
        Self { first: frames, growth: Vec::new(), most: frames, fewest: FEWEST.min(frames) }
    }

    /// Whether the numbers make sense.
    ///
    /// # Errors
    /// [`Error::InvalidOption`].
    pub fn check(&self) -> Result<(), Error> {
        let invalid = |option, value: String, expected: &'static str| Err(Error::option(option, value, expected));
        if self.fewest == 0 {
            return invalid("fewest", "0".into(), "1 or more");
        }
        if self.first < self.fewest {
            return invalid("first", self.first.to_string(), "at least `fewest`");
        }
        if self.most < self.first {
            return invalid("most", self.most.to_string(), "at least `first`");
        }
        if self.growth.contains(&0) {
            return invalid("growth", "0".into(), "1 or more each time");
        }
        Ok(())
    }

    /// Frames of the candidate after `asked` wishes for more, from `frames` that the last one had.
    pub(super) fn next(&self, frames: usize, asked: usize) -> Option<usize> {
        let growth = self.growth.get(asked).or(self.growth.last())?;
        let next = frames.saturating_add(*growth).min(self.most);
        (next > frames).then_some(next)
    }
}

impl Default for Schedule {
    /// The paper's for normal rain.
    fn default() -> Self {
        Self::for_density(Density::default())
    }
}
