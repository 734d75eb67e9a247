//! What the camera adds: sensor noise and compression.

use std::io::Cursor;

use image::codecs::jpeg::{JpegDecoder, JpegEncoder};
use image::{DynamicImage, ImageFormat, RgbImage};
use rayon::prelude::*;

use super::random::{self, Purpose};
use crate::Error;

/// Adds independent normal noise of standard deviation `sigma` in 8-bit steps to every sample.
pub(super) fn add_noise(picture: &mut RgbImage, sigma: f32, seed: u64, frame: u64) {
    if sigma <= 0.0 {
        return;
    }
    let stride = 3 * picture.width() as usize;
    picture.par_chunks_exact_mut(stride).enumerate().for_each(|(y, row)| {
        let mut rng = random::generator(seed, Purpose::Noise, [frame, y as u64, 0]);
        for pair in row.chunks_mut(2) {
            for (value, noise) in pair.iter_mut().zip(random::normals(&mut rng)) {
                // Casts cut to 0..=255.
                *value = (f32::from(*value) + sigma * noise + 0.5) as u8;
            }
        }
    });
}

/// The picture after it has been saved as JPEG.
pub(super) fn compress(picture: &RgbImage, quality: u8) -> Result<RgbImage, Error> {
    let failed = |source| Error::Encode { format: ImageFormat::Jpeg, source };
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, quality).encode_image(picture).map_err(failed)?;
    let decoder = JpegDecoder::new(Cursor::new(bytes)).map_err(failed)?;
    Ok(DynamicImage::from_decoder(decoder).map_err(failed)?.into_rgb8())
}

#[cfg(test)]
mod tests {
    use image::{Rgb, RgbImage};

    use super::add_noise;

    #[test]
    fn noise_has_the_standard_deviation_asked_for() {
        let grey = RgbImage::from_pixel(101, 90, Rgb([120; 3]));
        for sigma in [0.7f32, 2.0, 10.0] {
            let mut noisy = grey.clone();
            add_noise(&mut noisy, sigma, 1, 0);
            let count = noisy.len() as f64;
            let mean = noisy.iter().map(|&value| f64::from(value)).sum::<f64>() / count;
            let squares = noisy.iter().map(|&value| (f64::from(value) - mean).powi(2)).sum::<f64>() / count;
            // Rounding to steps adds a twelfth.
            let expected = (f64::from(sigma).powi(2) + 1.0 / 12.0).sqrt();
            assert!((mean - 120.0).abs() < 0.3, "{mean}");
            assert!((squares.sqrt() / expected - 1.0).abs() < 0.03, "{} {expected}", squares.sqrt());
            let mut again = grey.clone();
            add_noise(&mut again, sigma, 1, 1);
            assert_ne!(noisy, again);
        }
    }
}
