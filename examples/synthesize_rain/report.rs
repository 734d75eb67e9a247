//! What was done, as JSON.

use derain::data::synthesis::RainOptions;
use serde::Serialize;

#[derive(Serialize, Debug)]
pub(crate) struct Report {
    pub(crate) seed: u64,
    pub(crate) pictures: Vec<Entry>,
}

#[derive(Serialize, Debug)]
pub(crate) struct Entry {
    pub(crate) input: String,
    pub(crate) name: String,
    #[serde(flatten)]
    pub(crate) rain: Option<Rain>,
    pub(crate) error: Option<String>,
}

/// The rain that fell on a picture.
#[derive(Serialize, Debug)]
pub(crate) struct Rain {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) frames: u32,
    /// Of this picture alone.
    pub(crate) seed: u64,
    /// Mean over the frames against what each would be without rain, decibels; the string "inf" where nothing changed.
    pub(crate) psnr: Decibels,
    /// Mean share of pixels that the masks mark.
    pub(crate) rainy_share: f64,
    /// The camera's movement in every frame, pixels to the right and down.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) offsets: Vec<[f32; 2]>,
    pub(crate) options: RainOptions,
}

/// JSON has no infinity.
#[derive(Debug)]
pub(crate) struct Decibels(pub(crate) f64);

impl Serialize for Decibels {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.is_finite() {
            true => serializer.serialize_f64(self.0),
            false => serializer.serialize_str("inf"),
        }
    }
}
