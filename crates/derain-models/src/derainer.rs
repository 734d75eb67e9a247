use std::fmt;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use image::{DynamicImage, GrayImage, RgbImage};

use crate::engine::{Progress, Storage};
use crate::model::Model;
use crate::output::{Map, ModelOutput};
use crate::pixels::{self, RgbPixels};
use crate::rranet::RraNetConfig;
use crate::spanet::SpaNetConfig;
use crate::weights::WeightFile;
use crate::{Error, Network, Placement, Result};

/// A network with its weights, ready to take rain out of pictures of any size.
///
/// A single picture keeps all threads of the current rayon pool busy, so pictures are best done one after the other.
/// One derainer may also serve many plain threads; on the CPU no call changes what another gives. Calls from tasks of
/// rayon, such as a `par_iter` over pictures, are to be avoided: a thread that waits for its own picture begins another
/// one meanwhile, and holds both. On a GPU a derainer remembers the smallest size that did not fit, and cuts pictures
/// of that size or more into bands at once.
///
/// Memory grows with the picture, unless [`with_max_memory`](Self::with_max_memory) sets a limit, which holds for each
/// call on its own: without one, all stays in memory. What a call leaves for the next one, until the process ends or
/// pictures of another size come: features of small pictures, up to 134 MB for all of SPANet's derainers and up to 105
/// MB in each of RRANet's, and some megabytes of scratch for each thread.
///
/// Open a GPU with [`derain_ops::device::cuda`] (`derain::cuda` in the crate `derain`): all its work is then put on one
/// stream. With candle's `Device::new_cuda` each thread has a stream of its own, and a derainer must stay in the thread
/// that made it.
#[derive(Clone)]
pub struct Derainer {
    model: Model,
    weights_sha256: String,
    max_memory: Option<u64>,
    spool_folder: Option<PathBuf>,
}

/// What [`Derainer::derain`] gives back.
#[derive(Clone)]
#[non_exhaustive]
pub struct Derained {
    /// The picture without rain, as large as the input.
    pub image: RgbImage,
    /// Where the network saw rain: white is certain. None if the network has no attention.
    pub attention: Option<GrayImage>,
    /// Number of bands of rows the picture was cut into. 1 unless a GPU lacked memory for the whole; with more, results
    /// differ slightly from the whole picture's.
    pub bands: usize,
}

/// What [`Derainer::derain_dynamic_with_attention`] gives back.
#[derive(Clone)]
#[non_exhaustive]
pub struct DerainedPicture {
    /// The picture without rain: size, bit depth, grey or colour, and alpha as in the input.
    pub image: DynamicImage,
    /// Where the network saw rain: white is certain. None if the network has no attention.
    pub attention: Option<GrayImage>,
    /// The maps of RRANet's coarser scales, the coarsest first: a quarter and a half of the picture's size, rounded up.
    /// SPANet has none.
    pub coarse_attention: Vec<GrayImage>,
    /// Number of bands of rows the picture was cut into. 1 unless a GPU lacked memory for the whole; with more, results
    /// differ slightly from the whole picture's.
    pub bands: usize,
}

impl Derainer {
    /// A derainer with the weights of a file, safetensors or .pth; the variant of the network is recognised from it.
    /// `place` is a `Device` or `&Device`, or a [`Placement`] to choose the precision too.
    ///
    /// Nothing in the file is run, and memory stays bounded by its size.
    ///
    /// # Errors
    /// [`Error::WeightsAt`] when the file cannot be read, is damaged or hostile, or does not hold the weights of `network`; [`Error::Precision`]
    /// when the device has no code for the precision.
    pub fn from_weights(network: Network, path: impl AsRef<Path>, place: impl Into<Placement>) -> Result<Self> {
        let (path, place) = (path.as_ref(), place.into());
        // What the file has no part in.
        place.check()?;
        let load = || Self::from_weight_file(network, &WeightFile::open(path)?, place);
        load().map_err(|source| Error::WeightsAt { path: path.to_owned(), source: Box::new(source) })
    }

    /// The same with a weight file that is in memory.
    ///
    /// # Errors
    /// When the file does not hold the weights of `network`.
    pub fn from_weight_file(network: Network, file: &WeightFile, place: impl Into<Placement>) -> Result<Self> {
        Ok(Self::new(Model::from_file(network, file, &place.into())?, file))
    }

    /// SPANet as `config` says, for weight files that do not say it themselves: a .pth of the paper's form, say, which
    /// its tensors' names alone would have run in the release's form.
    ///
    /// # Errors
    /// When the file does not hold the weights of that network.
    pub fn from_spanet_file(config: &SpaNetConfig, file: &WeightFile, place: impl Into<Placement>) -> Result<Self> {
        Ok(Self::new(Model::spanet(config, file, &place.into())?, file))
    }

    /// RRANet as `config` says, likewise: its tensors tell neither the number of stages nor the RLCN options.
    ///
    /// # Errors
    /// When the file does not hold the weights of that network.
    pub fn from_rranet_file(config: &RraNetConfig, file: &WeightFile, place: impl Into<Placement>) -> Result<Self> {
        Ok(Self::new(Model::rranet(config, file, &place.into())?, file))
    }

    fn new(model: Model, file: &WeightFile) -> Self {
        Self { model, weights_sha256: file.sha256.clone(), max_memory: None, spool_folder: None }
    }

    /// Limits the memory that inference on a picture may take, the picture itself not counted: that of each call, so
    /// calls at the same time take a multiple. Without a limit, all stays in memory.
    ///
    /// If a picture needs more, SPANet on the CPU keeps features in temporary files and gives the same bits; if that is
    /// still too much, the call fails before any work. RRANet and GPUs have no such files and fail at once.
    #[must_use]
    pub fn with_max_memory(mut self, bytes: Option<u64>) -> Self {
        self.max_memory = bytes;
        self
    }

    /// The folder for those temporary files. Without one they lie in the system's, or on Linux in `/var/tmp` where the
    /// system's is itself memory (tmpfs); if that is, too, or the disk has no room, the call fails before any work. The
    /// files have no names and vanish with the process. They take 8 bytes per pixel and feature channel: 256 bytes per
    /// pixel for SPANet.
    #[must_use]
    pub fn with_spool_folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.spool_folder = Some(folder.into());
        self
    }

    /// The network that runs.
    pub fn network(&self) -> Network {
        self.model.network()
    }

    /// Whether results come with a map of where the network saw rain. SPANet without spatial attention gives none.
    pub fn has_attention(&self) -> bool {
        self.model.has_attention()
    }

    /// The limit of [`with_max_memory`](Self::with_max_memory).
    pub fn max_memory(&self) -> Option<u64> {
        self.max_memory
    }

    /// The SHA-256 of the weight file, in lowercase hexadecimal digits.
    pub fn weights_sha256(&self) -> &str {
        &self.weights_sha256
    }

    /// Bytes that inference on a picture of this size takes at most when all of it is in memory, with the threads of
    /// the current rayon pool; the picture itself is not counted, nor is what earlier calls have left ([`Derainer`]
    /// says how much).
    pub fn memory_needed(&self, width: u32, height: u32) -> u64 {
        self.memory_in(width, height, Storage::Memory)
    }

    /// The same when features are kept in temporary files; RRANet keeps none there.
    pub fn memory_needed_with_files(&self, width: u32, height: u32) -> u64 {
        self.memory_in(width, height, self.file())
    }

    fn memory_in(&self, width: u32, height: u32, storage: Storage<'_>) -> u64 {
        self.model.memory_needed((height as usize, width as usize), storage)
    }

    fn file(&self) -> Storage<'_> {
        Storage::File(self.spool_folder.as_deref())
    }

    /// Takes the rain out of an 8-bit colour picture. Values of the result are round(255·x), clamped.
    ///
    /// A GPU that has no memory for the picture works in bands of rows: [`Derained::bands`] tells.
    ///
    /// # Errors
    /// When the picture has no pixels, needs more memory than allowed or does not fit the GPU even in bands, when a
    /// temporary file fails, or when the result is not finite.
    pub fn derain(&self, picture: &RgbImage) -> Result<Derained> {
        // The pixel buffer is copied once so that one code path serves every pixel format; inference dwarfs the copy.
        let DerainedPicture { image, attention, bands, .. } =
            self.derain_dynamic_with_attention(&DynamicImage::ImageRgb8(picture.clone()))?;
        Ok(Derained { image: image.into_rgb8(), attention, bands })
    }

    /// Takes the rain out of a picture of any pixel format; bit depth, grey or colour, and alpha are kept.
    ///
    /// Float pictures are clamped to 0..1. A grey picture goes through the network as three equal channels.
    ///
    /// # Errors
    /// When the picture has no pixels, holds NaN or infinite values, is of an unknown pixel format, needs more memory
    /// than allowed or does not fit the GPU even in bands, when a temporary file fails, or when the result is not
    /// finite.
    pub fn derain_dynamic(&self, picture: &DynamicImage) -> Result<DynamicImage> {
        Ok(self.derain_dynamic_with_attention(picture)?.image)
    }

    /// [`Self::derain_dynamic`] with the attention map.
    ///
    /// # Errors
    /// As [`Self::derain_dynamic`].
    pub fn derain_dynamic_with_attention(&self, picture: &DynamicImage) -> Result<DerainedPicture> {
        self.derain_dynamic_with_progress(picture, &|_| ())
    }

    /// [`Self::derain_dynamic_with_attention`], telling `progress` what share of the work is done, from 0 to 1. It is called by whichever
    /// thread has finished a part, so calls may overlap and come out of order, and it should return soon; it may start
    /// parallel work of its own. On devices other than the CPU it is not called.
    ///
    /// # Errors
    /// As [`Self::derain_dynamic`].
    pub fn derain_dynamic_with_progress(
        &self,
        picture: &DynamicImage,
        progress: &(dyn Fn(f64) + Sync),
    ) -> Result<DerainedPicture> {
        self.derain_dynamic_until(picture, &|share| {
            progress(share);
            ControlFlow::Continue(())
        })
    }

    /// [`Self::derain_dynamic_with_progress`] until `progress` answers `Break`: the call then ends with [`Error::Stopped`], as soon as parts that
    /// are being worked on are done, some milliseconds. On other devices than the CPU `progress` is not
    /// called, so nothing ends it early.
    ///
    /// # Errors
    /// As [`Self::derain_dynamic`], and [`Error::Stopped`].
    pub fn derain_dynamic_until(
        &self,
        picture: &DynamicImage,
        progress: &(dyn Fn(f64) -> ControlFlow<()> + Sync),
    ) -> Result<DerainedPicture> {
        pixels::check_size(picture)?;
        let storage = self.storage(picture.width(), picture.height())?;
        let mut pixels = pixels::to_pixels(picture)?;
        let (width, height) = (pixels.width, pixels.height);
        let reversed = self.model.takes_bgr();
        if reversed {
            pixels.reverse_colours();
        }
        let (ModelOutput { clean, maps }, bands) =
            self.model.run(pixels, storage, Progress(progress)).map_err(|error| {
                match error.is_too_large_for_device() {
                    true => Error::DeviceMemory { width, height },
                    false => error,
                }
            })?;
        let mut clean = RgbPixels { width, height, values: clean };
        if reversed {
            clean.reverse_colours();
        }
        if let Some((x, y)) = clean.first_not_finite() {
            return Err(Error::NotFiniteResult { x, y, precision: self.model.precision() });
        }
        let image = pixels::with_colours(picture, &clean)?;
        let mut maps = maps.iter().map(|Map { width, values }| pixels::grey_picture(*width as u32, values));
        let attention = maps.next_back();
        Ok(DerainedPicture { image, attention, coarse_attention: maps.collect(), bands })
    }

    /// Where a picture's features go.
    fn storage(&self, width: u32, height: u32) -> Result<Storage<'_>> {
        let Some(limit) = self.max_memory else { return Ok(Storage::Memory) };
        let in_memory = self.memory_needed(width, height);
        if in_memory <= limit {
            return Ok(Storage::Memory);
        }
        let with_files = self.memory_needed_with_files(width, height);
        if self.model.can_spool() && with_files <= limit {
            return Ok(self.file());
        }
        // Of small pictures and many threads the files' share is the larger one.
        Err(Error::Memory { width, height, needed: in_memory.min(with_files), limit })
    }
}

/// Without the weights.
impl fmt::Debug for Derainer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Derainer")
            .field("network", &self.network())
            .field("precision", &self.model.precision())
            .field("weights_sha256", &self.weights_sha256)
            .field("max_memory", &self.max_memory)
            .field("spool_folder", &self.spool_folder)
            .finish_non_exhaustive()
    }
}

/// Sizes in place of pixels.
impl fmt::Debug for Derained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Derained")
            .field("image", &self.image.dimensions())
            .field("attention", &self.attention.as_ref().map(GrayImage::dimensions))
            .field("bands", &self.bands)
            .finish()
    }
}

/// Sizes in place of pixels.
impl fmt::Debug for DerainedPicture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let coarse: Vec<_> = self.coarse_attention.iter().map(GrayImage::dimensions).collect();
        f.debug_struct("DerainedPicture")
            .field("image", &(self.image.color(), self.image.width(), self.image.height()))
            .field("attention", &self.attention.as_ref().map(GrayImage::dimensions))
            .field("coarse_attention", &coarse)
            .field("bands", &self.bands)
            .finish()
    }
}
