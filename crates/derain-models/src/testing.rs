//! What the networks' tests share.

use std::ops::ControlFlow;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use image::DynamicImage;

use crate::{Derainer, Error, Result};

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

/// A run ends soon after it is told to, and leaves nothing behind that the next one finds.
pub(crate) fn assert_stops(derainer: &Derainer) -> Result<()> {
    let picture = DynamicImage::new_rgb8(100, 70);
    let expected = derainer.derain_dynamic(&picture)?;
    for last in [0, 5] {
        let calls = AtomicUsize::new(0);
        let stop = |_| match calls.fetch_add(1, Ordering::Relaxed) {
            call if call < last => ControlFlow::Continue(()),
            _ => ControlFlow::Break(()),
        };
        let stopped = derainer.derain_dynamic_until(&picture, &stop);
        assert!(matches!(stopped, Err(Error::Stopped)), "{stopped:?}");
        // Each thread may have been at work.
        let calls = calls.into_inner();
        assert!(calls <= last + 1 + rayon::current_num_threads(), "{calls} calls, told to stop at {last}");
    }
    assert_eq!(derainer.derain_dynamic(&picture)?, expected);
    Ok(())
}
