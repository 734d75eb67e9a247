//! Which test picture belongs to which reference picture, by their names alone.
//!
//! Two pictures pair if their paths are equal but for the extension: `a/1.png` and `a/1.jpg`. What is left pairs if
//! both lie in the same folder and the only number in their names is the same: `norain-001.png` and `rain-1.png`. The
//! number is a run of digits in the file's name without extension, its leading zeros left out; an `x2` at its end, as
//! Rain200 has it, is not looked at: `norain-1x2.png` and `norain-1.png`. Folders of other names may hold other scenes,
//! so numbers do not pair across them. Everything must pair with exactly one picture.
//!
//! ```
//! use derain_metrics::pairing::pair;
//! # fn main() -> Result<(), derain_metrics::Error> {
//! let pairs = pair(&["norain-1.png".into(), "x/house.png".into()], &["rain-1.jpg".into(), "x/house.jpg".into()])?;
//! assert_eq!(pairs[0].reference.to_str(), Some("norain-1.png"));
//! assert_eq!(pairs[0].test.to_str(), Some("rain-1.jpg"));
//! # Ok(())
//! # }
//! ```

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::Hash;
use std::path::{Path, PathBuf};

use crate::Error;

/// A test picture and its reference, as relative paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The truth.
    pub reference: PathBuf,
    /// What is scored against it.
    pub test: PathBuf,
}

/// Which of the two lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// The truths.
    Reference,
    /// The pictures to score.
    Test,
}

/// Why pictures do not pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// Nothing in the other list goes with this picture.
    Unpaired {
        /// The list that it is in.
        role: Role,
        /// The picture.
        path: PathBuf,
    },
    /// These all go with each other.
    Ambiguous {
        /// One truth, or several.
        references: Vec<PathBuf>,
        /// One test picture, or several.
        tests: Vec<PathBuf>,
    },
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reference => "reference",
            Self::Test => "test",
        })
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unpaired { role, path } => write!(f, "no partner for {role} {}", path.display()),
            Self::Ambiguous { references, tests } => {
                write!(f, "ambiguous: {} {}", Role::Reference, list(references))?;
                write!(f, " with {} {}", Role::Test, list(tests))
            }
        }
    }
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// Pairs two lists of relative paths, in the order of the test pictures.
///
/// # Errors
/// [`Error::Pairing`] with every picture that has no partner or more than one.
pub fn pair(references: &[PathBuf], tests: &[PathBuf]) -> Result<Vec<Pair>, Error> {
    let items = |role, paths: &[PathBuf]| (0..paths.len()).map(move |index| Item { role, index });
    let open = items(Role::Reference, references).chain(items(Role::Test, tests)).collect();
    let mut matching = Matching { references, tests, open, pairs: Vec::new(), ambiguous: Vec::new() };
    matching.pair_by(stem);
    matching.pair_by(only_number);
    matching.finish()
}

/// The relative path without extension.
fn stem(path: &Path) -> Option<PathBuf> {
    Some(path.with_extension(""))
}

/// Rain streaks at twice the scale, at the end of a rainy picture's name: a leftover of the code that made Rain100 and
/// Rain200.
const SCALE_SUFFIX: &[u8; 2] = b"x2";

/// The folder, and the only run of digits in the name, without leading zeros and the scale.
fn only_number(path: &Path) -> Option<(PathBuf, Vec<u8>)> {
    // Digits are the same bytes in every encoding that file names have.
    let name = path.file_stem()?.as_encoded_bytes();
    let name = match name.split_last_chunk::<2>() {
        Some((rest, suffix)) if suffix.eq_ignore_ascii_case(SCALE_SUFFIX) && ends_in_digit(rest) => rest,
        _ => name,
    };
    let mut runs = name.split(|byte| !byte.is_ascii_digit()).filter(|run| !run.is_empty());
    let (first, second) = (runs.next()?, runs.next());
    let zeros = first.iter().take_while(|&&digit| digit == b'0').count();
    second.is_none().then(|| (path.parent().unwrap_or(Path::new("")).to_owned(), first[zeros..].to_vec()))
}

fn ends_in_digit(name: &[u8]) -> bool {
    name.last().is_some_and(u8::is_ascii_digit)
}

/// A picture, as its place in one of the lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Item {
    role: Role,
    index: usize,
}

/// What is settled so far.
struct Matching<'a> {
    references: &'a [PathBuf],
    tests: &'a [PathBuf],
    /// What is not, in the order of the lists.
    open: Vec<Item>,
    /// Test, reference.
    pairs: Vec<(Item, Item)>,
    ambiguous: Vec<Vec<Item>>,
}

impl Matching<'_> {
    fn path(&self, item: Item) -> &PathBuf {
        match item.role {
            Role::Reference => &self.references[item.index],
            Role::Test => &self.tests[item.index],
        }
    }

    /// Settles what is open and has a key in common with a picture of the other list.
    fn pair_by<K: Eq + Hash>(&mut self, key: impl Fn(&Path) -> Option<K>) {
        let mut groups: HashMap<K, Vec<Item>> = HashMap::new();
        for &item in &self.open {
            if let Some(key) = key(self.path(item)) {
                groups.entry(key).or_default().push(item);
            }
        }
        let mut settled = HashSet::new();
        for group in groups.into_values() {
            // References come first in a group, as in `open`.
            match group.as_slice() {
                [first, .., last] if first.role == last.role => continue,
                [] | [_] => continue,
                &[reference, test] => self.pairs.push((test, reference)),
                _ => self.ambiguous.push(group.clone()),
            }
            settled.extend(group);
        }
        self.open.retain(|item| !settled.contains(item));
    }

    fn finish(mut self) -> Result<Vec<Pair>, Error> {
        // Groups come out of the hash map in any order.
        self.pairs.sort_unstable();
        self.ambiguous.sort_unstable();
        let unpaired =
            self.open.iter().map(|&item| Problem::Unpaired { role: item.role, path: self.path(item).clone() });
        let ambiguous = self.ambiguous.iter().map(|group| {
            let paths =
                |role| group.iter().filter(|item| item.role == role).map(|&item| self.path(item).clone()).collect();
            Problem::Ambiguous { references: paths(Role::Reference), tests: paths(Role::Test) }
        });
        let problems: Vec<_> = unpaired.chain(ambiguous).collect();
        if !problems.is_empty() {
            return Err(Error::Pairing { problems });
        }
        let pair =
            |&(test, reference): &_| Pair { reference: self.path(reference).clone(), test: self.path(test).clone() };
        Ok(self.pairs.iter().map(pair).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(names: &[&str]) -> Vec<PathBuf> {
        names.iter().map(PathBuf::from).collect()
    }

    fn pairs(references: &[&str], tests: &[&str]) -> Vec<(String, String)> {
        let text = |path: PathBuf| path.to_string_lossy().into_owned();
        let pairs = pair(&paths(references), &paths(tests)).unwrap();
        pairs.into_iter().map(|pair| (text(pair.reference), text(pair.test))).collect()
    }

    fn problems(references: &[&str], tests: &[&str]) -> Vec<String> {
        match pair(&paths(references), &paths(tests)) {
            Err(Error::Pairing { problems }) => problems.iter().map(ToString::to_string).collect(),
            other => panic!("{other:?}"),
        }
    }

    fn strings(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|&(a, b)| (a.to_owned(), b.to_owned())).collect()
    }

    #[test]
    fn stems_pair_whatever_the_extension_and_keep_the_order_of_the_tests() {
        assert_eq!(
            pairs(&["a/b.c.png", "10.png", "2.png"], &["2.jpg", "10.PNG", "a/b.c.tif"]),
            strings(&[("2.png", "2.jpg"), ("10.png", "10.PNG"), ("a/b.c.png", "a/b.c.tif")])
        );
        assert!(pairs(&[], &[]).is_empty());
    }

    #[test]
    fn the_only_number_pairs_what_stems_do_not() {
        assert_eq!(
            pairs(&["norain-1.png", "norain-10.png", "norain-000.png"], &["rain-001.png", "x0010y.jpg", "0.png"]),
            strings(&[("norain-1.png", "rain-001.png"), ("norain-10.png", "x0010y.jpg"), ("norain-000.png", "0.png")])
        );
        // Beyond any integer type.
        let long = "123456789012345678901234567890123456789012345678901234567890";
        assert_eq!(pairs(&[&format!("a{long}.png")], &[&format!("b0{long}.png")]).len(), 1);
    }

    #[test]
    fn a_stem_goes_before_a_number() {
        // By number alone all four would be rivals.
        assert_eq!(
            pairs(&["a1.png", "b1.png"], &["a1.jpg", "c1.jpg"]),
            strings(&[("a1.png", "a1.jpg"), ("b1.png", "c1.jpg")])
        );
    }

    #[test]
    fn numbers_pair_within_a_folder_only() {
        assert_eq!(
            pairs(&["x/clean-1.png", "y/clean-1.png"], &["y/rain-1.png", "x/rain-1.png"]),
            strings(&[("y/clean-1.png", "y/rain-1.png"), ("x/clean-1.png", "x/rain-1.png")])
        );
        assert_eq!(
            problems(&["set2/house.png"], &["set2/tree.png"]),
            ["no partner for reference set2/house.png", "no partner for test set2/tree.png"]
        );
    }

    #[test]
    fn two_numbers_are_none() {
        assert_eq!(
            problems(&["clean-1.png"], &["rain-1-2.png"]),
            ["no partner for reference clean-1.png", "no partner for test rain-1-2.png"]
        );
        assert_eq!(pairs(&["1-2.png"], &["1-2.bmp"]).len(), 1);
    }

    #[test]
    fn the_scale_of_rain200_is_no_number() {
        assert_eq!(
            pairs(&["norain-1.png", "norain-12.png"], &["norain-1x2.png", "norain-012X2.png"]),
            strings(&[("norain-1.png", "norain-1x2.png"), ("norain-12.png", "norain-012X2.png")])
        );
        // What is equal goes first, and without a number before it `x2` is one.
        assert_eq!(pairs(&["1x2.png", "norain-1.png"], &["1x2.png", "rain-1.png"]).len(), 2);
        assert_eq!(
            problems(&["norain-1.png", "a-2.png"], &["x2.png", "1x2y.png"]),
            ["no partner for reference norain-1.png", "no partner for test 1x2y.png"]
        );
    }

    #[test]
    fn every_problem_is_listed() {
        assert_eq!(
            problems(
                &["a-3.png", "1.png", "1.jpg", "lone.png"],
                &["rain-3.png", "b-3.png", "1.png", "extra.png", "5.png"]
            ),
            [
                "no partner for reference lone.png",
                "no partner for test extra.png",
                "no partner for test 5.png",
                "ambiguous: reference a-3.png with test rain-3.png, b-3.png",
                "ambiguous: reference 1.png, 1.jpg with test 1.png",
            ]
        );
        let error = pair(&paths(&["a.png"]), &paths(&["b.png"])).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the pictures do not pair:\n  no partner for reference a.png\n  no partner for test b.png"
        );
        // Several of one list and none of the other are unpaired, not ambiguous.
        assert_eq!(problems(&["1.png", "1.jpg"], &[]).len(), 2);
        assert_eq!(problems(&[], &["a.png"]), ["no partner for test a.png"]);
    }

    #[cfg(unix)]
    #[test]
    fn names_need_not_be_unicode() {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt;
        let name = |bytes: &'static [u8]| PathBuf::from(OsStr::from_bytes(bytes));
        let found = pair(&[name(b"\xff1.png"), name(b"\xfe.png")], &[name(b"\xfe.jpg"), name(b"\xfc01.png")]).unwrap();
        assert_eq!(found[1], Pair { reference: name(b"\xff1.png"), test: name(b"\xfc01.png") });
    }
}
