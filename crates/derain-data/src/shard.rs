//! Splitting one job over machines.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::Error;

/// One of N shares of a job: share I takes the items I, I + N, I + 2N … of a list, counted from 1.
///
/// All shares of the same list together take every item once. Neighbours go to different shares, as neighbours are
/// often alike in size.
///
/// ```
/// use derain_data::Shard;
///
/// let shard: Shard = "2/3".parse()?;
/// let names = ["a", "b", "c", "d", "e"];
/// assert_eq!(shard.of(names).collect::<Vec<_>>(), ["b", "e"]);
/// # Ok::<(), derain_data::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Counted from 1.
    number: usize,
    count: usize,
}

impl Shard {
    /// Everything: the only share of a job that is not split.
    pub const WHOLE: Self = Self { number: 1, count: 1 };

    /// Share `number` of `count`, counted from 1.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] unless 1 <= `number` <= `count`.
    pub fn new(number: usize, count: usize) -> Result<Self, Error> {
        match (1..=count).contains(&number) {
            true => Ok(Self { number, count }),
            false => Err(invalid(&format!("{number}/{count}"))),
        }
    }

    /// Whether there are other shares.
    #[must_use]
    pub fn is_part(self) -> bool {
        self.count > 1
    }

    /// Whether the item at a place of the list, counted from 0, belongs to this share.
    #[must_use]
    pub fn takes(self, place: usize) -> bool {
        place % self.count == self.number - 1
    }

    /// This share of a list.
    pub fn of<T>(self, items: impl IntoIterator<Item = T>) -> impl Iterator<Item = T> {
        items.into_iter().skip(self.number - 1).step_by(self.count)
    }

    /// Where this share writes what every share writes for itself: `report.json` becomes `report.2-of-3.json`; a whole
    /// job's stays.
    #[must_use]
    pub fn own_path(self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        if !self.is_part() {
            return path.to_owned();
        }
        let mut extension = OsString::from(format!("{}-of-{}", self.number, self.count));
        if let Some(last) = path.extension() {
            extension.push(".");
            extension.push(last);
        }
        path.with_extension(extension)
    }
}

impl Default for Shard {
    fn default() -> Self {
        Self::WHOLE
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.count)
    }
}

impl FromStr for Shard {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let numbers =
            text.split_once('/').and_then(|(number, count)| Some((number.parse().ok()?, count.parse().ok()?)));
        let (number, count) = numbers.ok_or_else(|| invalid(text))?;
        Self::new(number, count)
    }
}

fn invalid(text: &str) -> Error {
    Error::option("shard", text, "I/N with I from 1 to N, such as 1/4 for the first of four")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::Shard;

    #[test]
    fn shares_take_every_item_once() {
        for (items, count) in [(10, 3), (3, 10), (8, 4), (5, 1), (0, 2)] {
            let mut takers = vec![0; items];
            for number in 1..=count {
                let shard = Shard::new(number, count).unwrap();
                let taken: Vec<usize> = shard.of(0..items).collect();
                assert_eq!(taken, (0..items).filter(|&place| shard.takes(place)).collect::<Vec<_>>());
                taken.into_iter().for_each(|place| takers[place] += 1);
            }
            assert_eq!(takers, vec![1; items], "{count} shares");
        }
    }

    #[test]
    fn shares_are_written_as_fractions() {
        let shard: Shard = "2/3".parse().unwrap();
        assert_eq!((shard, shard.to_string().as_str()), (Shard::new(2, 3).unwrap(), "2/3"));
        assert!("1/1".parse::<Shard>().unwrap() == Shard::WHOLE && !Shard::WHOLE.is_part());
        for wrong in ["0/3", "4/3", "1/0", "0/0", "-1/3", "1", "", "/", "1/", "a/b", "1/2/3", "1 / 2"] {
            let error = wrong.parse::<Shard>().unwrap_err().to_string();
            assert!(error.contains(&format!("is {wrong}: it must be I/N with I from 1 to N")), "{error}");
        }
    }

    #[test]
    fn every_share_has_its_own_report() {
        let shard = Shard::new(2, 3).unwrap();
        for (name, expected) in
            [("a.b/report.json", "a.b/report.2-of-3.json"), ("report", "report.2-of-3"), (".json", ".json.2-of-3")]
        {
            let path = Path::new(name);
            assert_eq!((shard.own_path(path), Shard::WHOLE.own_path(path)), (expected.into(), path.into()));
        }
    }
}
