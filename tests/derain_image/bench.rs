//! A folder to run the example in, and what it must have said.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use derain::data::save_picture;
use derain::models::{RraNetConfig, SpaNetConfig, rranet, spanet};
use derain::{Derainer, Device, Network};
use image::{ColorType, DynamicImage, Rgba};
use serde_json::Value;
use tempfile::TempDir;

use crate::support;

/// A folder with `weights.safetensors` in it, gone after the test.
pub(crate) struct Bench {
    pub(crate) folder: TempDir,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = SpaNetConfig { channels: 4, ..SpaNetConfig::release() };
        let weights = spanet::initial_weight_file(&config, 7).unwrap();
        fs::write(folder.path().join("weights.safetensors"), weights).unwrap();
        Self { folder }
    }

    /// Adds `rranet.safetensors`.
    pub(crate) fn add_rranet(&self) {
        let config = RraNetConfig { widths: [4, 8, 8, 8], stages: 2, ..RraNetConfig::default() };
        fs::write(self.path("rranet.safetensors"), rranet::initial_weight_file(&config, 7).unwrap()).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Saves a patterned picture, making its folder.
    pub(crate) fn picture(&self, name: &str, color: ColorType) -> DynamicImage {
        let image = pattern(color);
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        save_picture(self.path(name), &image.clone().into()).unwrap();
        image
    }

    /// Runs the example in the folder with `--weights` and these arguments, separated by spaces.
    pub(crate) fn run(&self, arguments: &str) -> Output {
        self.run_bare(&format!("{arguments} --weights weights.safetensors"))
    }

    pub(crate) fn run_bare(&self, arguments: &str) -> Output {
        self.command(arguments).output().unwrap()
    }

    pub(crate) fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(support::example("derain_image"));
        command.args(arguments.split_whitespace()).current_dir(self.folder.path()).env_remove("RUST_LOG");
        // Memory depends on the number of threads, and some tests count on it.
        command.env("RAYON_NUM_THREADS", "2");
        command
    }

    pub(crate) fn derainer(&self) -> Derainer {
        Derainer::from_weights(Network::SpaNet, self.path("weights.safetensors"), &Device::Cpu).unwrap()
    }

    pub(crate) fn json(&self, name: &str) -> Value {
        serde_json::from_slice(&fs::read(self.path(name)).unwrap()).unwrap()
    }

    /// Every file below a folder, relative to it and sorted.
    pub(crate) fn tree(&self, name: &str) -> Vec<String> {
        support::tree(&self.path(name))
    }
}

/// 24 x 16, with a gradient in every channel and alpha that varies.
pub(crate) fn pattern(color: ColorType) -> DynamicImage {
    let image = image::ImageBuffer::from_fn(24, 16, |x, y| {
        Rgba([2000 * x as u16, 4000 * y as u16, 1000 * (x + y) as u16, 65535 - 1111 * x as u16])
    });
    let image = DynamicImage::ImageRgba16(image);
    match color {
        ColorType::L8 => image.to_luma8().into(),
        ColorType::La8 => image.to_luma_alpha8().into(),
        ColorType::Rgb8 => image.to_rgb8().into(),
        ColorType::Rgba8 => image.to_rgba8().into(),
        ColorType::L16 => image.to_luma16().into(),
        ColorType::La16 => image.to_luma_alpha16().into(),
        ColorType::Rgb16 => image.to_rgb16().into(),
        _ => image,
    }
}
