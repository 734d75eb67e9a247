//! Training pictures that a training would end at, found before it begins.

use derain_data::dataset::{Crop, Pair, SampleSource};
use derain_data::picture_size;
use rayon::prelude::*;

use super::Source;
use crate::{Error, Result};

/// Looks at the headers of all training pictures, which takes a hundredth of the time of loading them: whether each is a picture, into
/// which the crop fits, and as large as its partner. Damaged pixels are found when their turn comes.
///
/// # Errors
/// [`Error::UnusablePicture`].
pub(crate) fn check_pictures(source: &Source, crop: &Crop) -> Result<()> {
    let suspects: Vec<usize> =
        (0..source.len()).into_par_iter().filter(|&index| !looks_usable(source, crop, index)).collect();
    for (place, &index) in suspects.iter().enumerate() {
        // Whatever its header says, a picture is refused for what training would say of it, and only then.
        if let Err(error) = source.sample(0, index) {
            return Err(Error::UnusablePicture { others: suspects.len() - place - 1, source: error });
        }
    }
    Ok(())
}

fn looks_usable(source: &Source, crop: &Crop, index: usize) -> bool {
    let fits = |(width, height): (u32, u32)| match *crop {
        Crop::Window { size } => width.min(height) >= size,
        Crop::Whole {} | Crop::Resized { .. } => true,
    };
    match source {
        Source::Synthesized(source) => picture_size(&source.pictures()[index]).is_ok_and(fits),
        Source::Pairs(source) => match &source.list().pairs()[index] {
            Pair::Files { rainy, clean } => match (picture_size(rainy), picture_size(clean)) {
                (Ok(rainy), Ok(clean)) => rainy == clean && fits(rainy),
                _ => false,
            },
            Pair::SideBySide { picture, .. } => {
                picture_size(picture).is_ok_and(|(width, height)| width.is_multiple_of(2) && fits((width / 2, height)))
            }
        },
    }
}
