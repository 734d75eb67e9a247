//! Training pictures that a training would end at, found before it begins.

use std::path::Path;

use derain_data::dataset::{Crop, Pair, SampleSource};
use derain_data::picture_size;
use rayon::prelude::*;

use super::Source;
use crate::{Error, Result};

/// Width and height.
type Size = (u32, u32);

/// Looks at the headers of all training pictures, which takes a hundredth of the time of loading them: whether each is
/// a picture, into which the crop fits, and as large as its partner; and as large as all others, where whole pictures
/// come `together` in batches. Damaged pixels are found when their turn comes.
///
/// # Errors
/// [`Error::UnusablePicture`], [`Error::MixedSizes`].
pub(crate) fn check_pictures(source: &Source, crop: &Crop, together: usize) -> Result<()> {
    let sizes: Vec<Option<Size>> =
        (0..source.len()).into_par_iter().map(|index| usable_size(source, crop, index)).collect();
    let suspects: Vec<usize> = (0..source.len()).filter(|&index| sizes[index].is_none()).collect();
    for (place, &index) in suspects.iter().enumerate() {
        // Whatever its header says, a picture is refused for what training would say of it, and only then.
        if let Err(error) = source.sample(0, index) {
            return Err(Error::UnusablePicture { others: suspects.len() - place - 1, source: error });
        }
    }
    if together > 1 && matches!(crop, Crop::Whole {}) { check_sizes(source, &sizes) } else { Ok(()) }
}

/// Finds two pictures of different sizes. Not those whose headers are alike, as where one has its orientation behind
/// its pixels.
fn check_sizes(source: &Source, sizes: &[Option<Size>]) -> Result<()> {
    // As above: what counts is the loaded picture's size.
    let size = |index| match source.sample(0, index) {
        Ok(sample) => Ok((sample.width, sample.height)),
        Err(source) => Err(Error::UnusablePicture { others: 0, source }),
    };
    let mut suspects = (1..sizes.len()).filter(|&index| sizes[index].is_none() || sizes[index] != sizes[0]).peekable();
    if suspects.peek().is_none() {
        return Ok(());
    }
    let first_size = size(0)?;
    for other in suspects {
        let other_size = size(other)?;
        if other_size != first_size {
            let path = |index| picture(source, index).to_owned();
            return Err(Error::MixedSizes { first: path(0), first_size, other: path(other), other_size });
        }
    }
    Ok(())
}

/// A pair's size by its headers, if they look usable.
fn usable_size(source: &Source, crop: &Crop, index: usize) -> Option<Size> {
    let size = match source {
        Source::Synthesized(source) => picture_size(&source.pictures()[index]).ok()?,
        Source::Pairs(source) => match &source.list().pairs()[index] {
            Pair::Files { rainy, clean } => {
                let size = picture_size(rainy).ok()?;
                (picture_size(clean).ok()? == size).then_some(size)?
            }
            Pair::SideBySide { picture, .. } => {
                let (width, height) = picture_size(picture).ok()?;
                width.is_multiple_of(2).then_some((width / 2, height))?
            }
        },
    };
    match *crop {
        Crop::Window { size: side } if size.0.min(size.1) < side => None,
        _ => Some(size),
    }
}

/// What a pair is called by.
fn picture(source: &Source, index: usize) -> &Path {
    match source {
        Source::Synthesized(source) => &source.pictures()[index],
        Source::Pairs(source) => match &source.list().pairs()[index] {
            Pair::Files { rainy: picture, .. } | Pair::SideBySide { picture, .. } => picture,
        },
    }
}
