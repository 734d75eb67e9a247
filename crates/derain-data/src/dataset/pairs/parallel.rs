//! Two folders of pictures with names in common.

use std::path::Path;

use derain_metrics::pairing;

use super::Pair;
use crate::dataset::DatasetError;
use crate::{Error, find_pictures};

pub(super) fn read(rainy: &Path, clean: &Path) -> Result<Vec<Pair>, Error> {
    let pairs = pairing::pair(&find_pictures(clean)?, &find_pictures(rainy)?).map_err(|error| {
        let problems = match error {
            derain_metrics::Error::Pairing { problems } => problems,
            // Pairing knows no other.
            _ => Vec::new(),
        };
        DatasetError::Unpaired { rainy: rainy.to_owned(), clean: clean.to_owned(), problems }
    })?;
    Ok(pairs
        .into_iter()
        .map(|pair| Pair::Files { rainy: rainy.join(pair.test), clean: clean.join(pair.reference) })
        .collect())
}
