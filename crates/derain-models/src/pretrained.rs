//! The weights that come with this crate, feature `pretrained`. What they were trained on, what they score and the
//! terms under which they may be used: the model cards beside them, `weights/*.md`.

use crate::weights::WeightFile;
use crate::{Derainer, Network, Placement, Result};

impl Network {
    /// The weight file of this network that comes with the crate: safetensors, its configuration inside.
    ///
    /// # Licence
    /// The weights were trained on photographs of BSDS500, which its authors offer for non-commercial research and
    /// education. `default-features = false` leaves them out; `weights/README.md` beside this crate's sources says
    /// more.
    #[must_use]
    pub fn pretrained_file(self) -> &'static [u8] {
        match self {
            Self::SpaNet => include_bytes!("../weights/spanet.safetensors"),
            Self::RraNet => include_bytes!("../weights/rranet.safetensors"),
        }
    }
}

impl Derainer {
    /// A derainer with the weights that come with the crate: nothing is read from disk or fetched.
    ///
    /// ```
    /// use derain_models::{Derainer, Device, Network};
    /// let derainer = Derainer::pretrained(Network::SpaNet, &Device::Cpu)?;
    /// let out = derainer.derain(&image::RgbImage::from_pixel(40, 30, image::Rgb([90, 120, 60])))?;
    /// assert_eq!(out.image.dimensions(), (40, 30));
    /// # Ok::<(), derain_models::Error>(())
    /// ```
    ///
    /// # Licence
    /// The weights were trained on photographs of BSDS500, which its authors offer for non-commercial research and
    /// education. `default-features = false` leaves them out; `weights/README.md` beside this crate's sources says
    /// more.
    ///
    /// # Errors
    /// When the device refuses, or has no code for the precision.
    pub fn pretrained(network: Network, place: impl Into<Placement>) -> Result<Self> {
        Self::from_weight_file(network, &WeightFile::parse(network.pretrained_file())?, place)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;
    use image::{Rgb, RgbImage};

    use super::*;

    /// Slanted streaks, two pixels wide, at irregular places: what repeats may be a fence.
    fn streaks(x: u32, y: u32) -> bool {
        let (x, y) = (i64::from(x), i64::from(y));
        (0..40).any(|k| {
            let (left, top) = ((k * k * 37 + k * 11) % 160, (k * 59 + k * k * 5) % 120 - 10);
            let down = y - top;
            (0..24).contains(&down) && (0..2).contains(&(x + down / 4 - left))
        })
    }

    /// A smooth picture and the same in rain.
    fn pair() -> (RgbImage, RgbImage) {
        let clean = |x: u32, y: u32| [60 + x / 4, 80 + y / 4, 110 - x / 8].map(|value| value as u8);
        let rainy = |x, y| if streaks(x, y) { clean(x, y).map(|value| value.saturating_add(70)) } else { clean(x, y) };
        (RgbImage::from_fn(160, 120, |x, y| Rgb(clean(x, y))), RgbImage::from_fn(160, 120, |x, y| Rgb(rainy(x, y))))
    }

    fn squared_error(a: &RgbImage, b: &RgbImage) -> f64 {
        a.as_raw().iter().zip(b.as_raw()).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum()
    }

    #[test]
    fn shipped_weights_take_out_rain_and_leave_dry_pictures() {
        let (clean, rainy) = pair();
        // How many times as small the error becomes at least. SPANet leaves half of the height of streaks as sharp as
        // these.
        for (network, times) in [(Network::SpaNet, 2.5), (Network::RraNet, 15.0)] {
            let derainer = Derainer::pretrained(network, &Device::Cpu).unwrap();
            let out = derainer.derain(&rainy).unwrap();
            let (before, after) = (squared_error(&rainy, &clean), squared_error(&out.image, &clean));
            assert!(times * after < before, "{network}: {before} to {after}");
            let attention = out.attention.unwrap();
            let mean = |wet: bool| {
                let seen: Vec<f64> = attention
                    .enumerate_pixels()
                    .filter(|&(x, y, _)| streaks(x, y) == wet)
                    .map(|(_, _, value)| f64::from(value[0]))
                    .collect();
                seen.iter().sum::<f64>() / seen.len() as f64
            };
            assert!(mean(true) > mean(false) + 40.0, "{network}: {} on streaks, {} beside", mean(true), mean(false));
            let dry = derainer.derain(&clean).unwrap();
            assert!(squared_error(&dry.image, &clean) < before / 50.0, "{network}");
        }
    }
}
