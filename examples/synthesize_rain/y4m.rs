//! Films as YUV4MPEG2, 4:4:4, BT.601 limited range.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result};
use derain::data;
use image::RgbImage;
use tempfile::{Builder, NamedTempFile};

use crate::output::make_folder_of;

/// A film that appears under its name when it is whole.
pub(crate) struct Y4m<'a> {
    path: &'a Path,
    out: BufWriter<NamedTempFile>,
}

impl<'a> Y4m<'a> {
    pub(crate) fn create(path: &'a Path, width: u32, height: u32, frame_time: f32) -> Result<Self> {
        make_folder_of(path)?;
        let folder = path.parent().unwrap_or(Path::new("."));
        let name = data::temporary_name();
        let mut builder = Builder::new();
        builder.prefix(&name).rand_bytes(0);
        // Else it would be the owner's alone.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let file = builder.tempfile_in(folder).with_context(|| format!("cannot write in {}", folder.display()))?;
        let mut out = BufWriter::with_capacity(1 << 20, file);
        // Thousandths of a frame per second, as a fraction.
        let rate = (1000.0 / f64::from(frame_time)).round().max(1.0) as u64;
        writeln!(out, "YUV4MPEG2 W{width} H{height} F{rate}:1000 Ip A1:1 C444 XCOLORRANGE=LIMITED")?;
        Ok(Self { path, out })
    }

    pub(crate) fn push(&mut self, frame: &RgbImage) -> Result<()> {
        let written = || -> std::io::Result<()> {
            self.out.write_all(b"FRAME\n")?;
            let mut plane = Vec::with_capacity(frame.len() / 3);
            for channel in 0..3 {
                plane.clear();
                plane.extend(frame.pixels().map(|pixel| to_yuv(pixel.0)[channel]));
                self.out.write_all(&plane)?;
            }
            Ok(())
        }();
        written.with_context(|| format!("cannot write {}", self.path.display()))
    }

    /// Gives the film its name.
    pub(crate) fn finish(self) -> Result<()> {
        let finished = || -> std::io::Result<File> {
            let file = self.out.into_inner()?;
            file.as_file().sync_all()?;
            Ok(file.persist(self.path)?)
        }();
        finished.map(drop).with_context(|| format!("cannot write {}", self.path.display()))
    }
}

/// ITU-R BT.601: luma 16 to 235, differences 16 to 240 around 128.
fn to_yuv(rgb: [u8; 3]) -> [u8; 3] {
    let [red, green, blue] = rgb.map(f32::from);
    let luma = 0.299 * red + 0.587 * green + 0.114 * blue;
    let yuv = [
        16.0 + luma * (219.0 / 255.0),
        128.0 + (blue - luma) * (112.0 / (0.886 * 255.0)),
        128.0 + (red - luma) * (112.0 / (0.701 * 255.0)),
    ];
    // Casts cut to 0..=255.
    yuv.map(|value| (value + 0.5) as u8)
}
