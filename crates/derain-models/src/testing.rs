//! What the networks' tests share.

use std::sync::Mutex;

use image::DynamicImage;

use crate::{Derainer, Result};

/// A run tells its progress often, and ends at 1.
pub(crate) fn assert_progress_rises(derainer: &Derainer) -> Result<()> {
    let seen = Mutex::new(Vec::new());
    let note = |share: f64| seen.lock().expect("no thread panics").push(share);
    derainer.derain_dynamic_with_progress(&DynamicImage::new_rgb8(100, 70), &note)?;
    let mut seen = seen.into_inner().expect("no thread panics");
    assert!(seen.len() > 20 && seen.iter().all(|share| (0.0..=1.0).contains(share)), "{seen:?}");
    seen.sort_by(f64::total_cmp);
    assert_eq!(seen.last(), Some(&1.0));
    Ok(())
}
