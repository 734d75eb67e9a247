use std::path::Path;

use candle_core::{Device, Tensor};
use image::{DynamicImage, GrayImage, RgbImage};

use crate::pixels::{self, RgbPlanes};
use crate::spanet::{self, ChannelOrder, Spanet, SpanetConfig, SpanetOutput};
use crate::weights::WeightFile;
use crate::{Error, Network, Result};

/// Bytes that inference takes per pixel and feature channel. Measured: peak resident memory grows by 41 from a picture of 512x512 to
/// one of 1024x1024; most of it is the attention module's four directions. The rest is margin.
const BYTES_PER_PIXEL_AND_CHANNEL: u64 = 48;

/// A network with its weights, ready to take rain out of pictures of any size.
///
/// It holds no state between calls: one derainer may serve many threads.
#[derive(Clone, Debug)]
pub struct Derainer {
    network: Spanet,
    device: Device,
    weights_sha256: String,
    max_memory: Option<u64>,
}

/// What [`Derainer::derain`] gives back.
#[derive(Clone, Debug)]
pub struct Derained {
    /// The picture without rain, as large as the input.
    pub image: RgbImage,
    /// Where the network saw rain: white is certain. None if the network has no attention.
    pub attention: Option<GrayImage>,
}

/// What [`Derainer::derain_dynamic_with_attention`] gives back.
#[derive(Clone, Debug)]
pub struct DerainedPicture {
    /// The picture without rain: size, bit depth, grey or colour, and alpha as in the input.
    pub image: DynamicImage,
    /// Where the network saw rain: white is certain. None if the network has no attention.
    pub attention: Option<GrayImage>,
}

impl Derainer {
    /// A derainer with the weights of a file, safetensors or .pth; the variant of the network is recognised from it.
    ///
    /// Nothing in the file is run, and memory stays bounded by its size.
    ///
    /// # Errors
    /// When the file cannot be read, is damaged or hostile, or does not hold the weights of `network`.
    pub fn from_weights(network: Network, path: impl AsRef<Path>, device: &Device) -> Result<Self> {
        Self::from_weight_file(network, &WeightFile::open(path.as_ref())?, device)
    }

    /// The same with a weight file that is in memory.
    ///
    /// # Errors
    /// When the file does not hold the weights of `network`.
    pub fn from_weight_file(network: Network, file: &WeightFile, device: &Device) -> Result<Self> {
        match network {
            Network::SpaNet => Self::from_spanet_file(&spanet::recognize(file)?, file, device),
        }
    }

    /// SPANet as `config` says, for weight files that do not say it themselves: a .pth of the paper's form, say, which its tensors'
    /// names alone would have run in the release's form.
    ///
    /// # Errors
    /// When the file does not hold the weights of that network.
    pub fn from_spanet_file(config: &SpanetConfig, file: &WeightFile, device: &Device) -> Result<Self> {
        let network = Spanet::with_config(config, file, device)?;
        Ok(Self { network, device: device.clone(), weights_sha256: file.sha256.clone(), max_memory: None })
    }

    /// Refuses pictures for which inference would take more than so many bytes, instead of starting on them.
    #[must_use]
    pub fn with_max_memory(mut self, bytes: Option<u64>) -> Self {
        self.max_memory = bytes;
        self
    }

    /// The network that runs.
    pub fn network(&self) -> Network {
        Network::SpaNet
    }

    /// The SHA-256 of the weight file, in lowercase hexadecimal digits.
    pub fn weights_sha256(&self) -> &str {
        &self.weights_sha256
    }

    /// Bytes that inference on a picture of this size takes, about.
    pub fn memory_needed(&self, width: u32, height: u32) -> u64 {
        let per_pixel = BYTES_PER_PIXEL_AND_CHANNEL * self.network.config().channels as u64;
        (u64::from(width) * u64::from(height)).saturating_mul(per_pixel)
    }

    /// Takes the rain out of an 8-bit colour picture. Values of the result are round(255·x), clamped.
    ///
    /// # Errors
    /// When the picture has no pixels or needs more memory than allowed.
    pub fn derain(&self, picture: &RgbImage) -> Result<Derained> {
        // The pixel buffer is copied once so that one code path serves every pixel format; inference dwarfs the copy.
        let DerainedPicture { image, attention } =
            self.derain_dynamic_with_attention(&DynamicImage::ImageRgb8(picture.clone()))?;
        Ok(Derained { image: image.into_rgb8(), attention })
    }

    /// Takes the rain out of a picture of any pixel format; bit depth, grey or colour, and alpha are kept.
    ///
    /// Float pictures are clamped to 0..1. A grey picture goes through the network as three equal channels.
    ///
    /// # Errors
    /// When the picture has no pixels, holds NaN or infinite values, or needs more memory than allowed.
    pub fn derain_dynamic(&self, picture: &DynamicImage) -> Result<DynamicImage> {
        Ok(self.derain_dynamic_with_attention(picture)?.image)
    }

    /// [`Self::derain_dynamic`] with the attention map.
    ///
    /// # Errors
    /// As [`Self::derain_dynamic`].
    pub fn derain_dynamic_with_attention(&self, picture: &DynamicImage) -> Result<DerainedPicture> {
        self.check_memory(picture.width(), picture.height())?;
        let planes = pixels::to_planes(picture)?;
        let (width, height) = (planes.width, planes.height);
        let SpanetOutput { clean, attention } = self.run(planes)?;
        let clean = self.ordered(&clean)?.flatten_all()?.to_vec1()?;
        let clean = RgbPlanes { width, height, values: clean };
        if let Some((x, y)) = clean.first_not_finite() {
            return Err(Error::NotFiniteResult { x, y });
        }
        let image = pixels::with_colours(picture, &clean)?;
        let attention = match attention {
            Some(map) => Some(pixels::grey_picture(width, &map.flatten_all()?.to_vec1::<f32>()?)),
            None => None,
        };
        Ok(DerainedPicture { image, attention })
    }

    fn run(&self, planes: RgbPlanes) -> Result<SpanetOutput> {
        let shape = (1, 3, planes.height as usize, planes.width as usize);
        let input = Tensor::from_vec(planes.values, shape, &self.device)?;
        self.network.forward(&self.ordered(&input)?)
    }

    /// From red, green, blue to the network's order, or back.
    fn ordered(&self, pictures: &Tensor) -> Result<Tensor> {
        match self.network.config().channel_order {
            ChannelOrder::Rgb => Ok(pictures.clone()),
            ChannelOrder::Bgr => Ok(pictures.flip(&[1])?),
        }
    }

    fn check_memory(&self, width: u32, height: u32) -> Result<()> {
        let needed = self.memory_needed(width, height);
        match self.max_memory {
            Some(limit) if needed > limit => Err(Error::Memory { width, height, needed, limit }),
            _ => Ok(()),
        }
    }
}
