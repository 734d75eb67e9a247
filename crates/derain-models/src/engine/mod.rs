//! Inference with planned buffers. Both networks count their [`Work`]; the rest is used by SPANet alone.
//!
//! A picture's features lie pixel by pixel ([`derain_ops::rect`]) in a few [`Store`]s as large as the picture, in
//! memory or in a temporary file. A network runs as a sequence of [passes](Frame::pass) over them: bands of rows in
//! parallel, every thread with a scratch of its own that serves all passes. How a picture is cut into bands changes no
//! bit of the result.

mod frame;
mod progress;
mod store;
mod temporary;

pub(crate) use frame::{Band, Frame, Input, band_rows};
pub(crate) use progress::{Progress, Work};
pub(crate) use store::{Storage, Store};
