//! The bytes of pictures' pixels. `ImageBuffer::from_raw` takes a buffer that is longer than they are.

use image::{DynamicImage, RgbImage};

/// R, G, B of every pixel, row by row.
pub(crate) fn pixels(picture: &RgbImage) -> &[u8] {
    &picture.as_raw()[..3 * picture.width() as usize * picture.height() as usize]
}

/// Every pixel, row by row, in the picture's own type.
pub(crate) fn pixels_of_any(picture: &DynamicImage) -> &[u8] {
    let bytes = usize::from(picture.color().bytes_per_pixel());
    &picture.as_bytes()[..bytes * picture.width() as usize * picture.height() as usize]
}
