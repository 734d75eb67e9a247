use image::{GrayImage, Rgb, RgbImage};

/// An attention map in colour: black and purple where the network saw no rain, over red to pale yellow where it did.
///
/// The colours are the perceptually uniform map "inferno", so equal steps of attention look equally far apart.
///
/// ```
/// let attention = image::GrayImage::from_raw(2, 1, vec![0, 255]).ok_or("2x1 has two pixels")?;
/// let colours = derain_models::heat_map(&attention);
/// assert!(colours.get_pixel(0, 0).0 < [5, 5, 5]);          // none: almost black
/// assert!(colours.get_pixel(1, 0).0 > [240, 240, 150]);    // full: pale yellow
/// # Ok::<(), &str>(())
/// ```
pub fn heat_map(attention: &GrayImage) -> RgbImage {
    RgbImage::from_fn(attention.width(), attention.height(), |x, y| {
        let value = attention.get_pixel(x, y).0[0];
        Rgb(colorous::INFERNO.eval_rational(value.into(), 256).as_array())
    })
}
