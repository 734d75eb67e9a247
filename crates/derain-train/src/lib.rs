//! The pieces of the papers' training that stand on their own: the losses that need no window, and the schedules.
//!
//! | item | what | source |
//! | --- | --- | --- |
//! | [`l1`] | mean absolute difference | SPANet, section 4.3 |
//! | [`rain_mask`] | where the rainy and the clean picture differ | SPANet, section 4.3 |
//! | [`attention_loss`] | mean squared difference of attention map and mask | SPANet, section 4.3 |
//! | [`StepSchedule`] | a learning rate divided after given steps | both papers |
//!
//! ```
//! let schedule = derain_train::StepSchedule::spanet_paper();
//! assert_eq!(schedule.rate(0), 0.005);
//! assert_eq!(schedule.rate(5_000), 0.0005);
//! ```
#![forbid(unsafe_code)]

mod error;
mod losses;
mod schedule;

pub use error::{Error, Result};
pub use losses::{attention_loss, l1, rain_mask};
pub use schedule::StepSchedule;
