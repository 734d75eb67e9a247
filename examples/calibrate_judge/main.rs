//! Measures how well the automatic judge and the estimate of density do on rain whose truth is known.
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context, Result};
use derain::data::judge::{Density, DensityEstimate, Measures, estimate_density};
use derain::data::synthesis::{Backdrop, RainOptions, RainScene, psnr};
use derain::data::{CleanImage, CleanOptions, FrameSource, find_pictures, load_picture};
use image::RgbImage;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use rayon::prelude::*;

const COUNTS: [usize; 9] = [4, 7, 10, 14, 20, 30, 50, 70, 100];

struct Memory<'a>(std::slice::Iter<'a, RgbImage>);
impl FrameSource for Memory<'_> {
    fn next_frame(&mut self) -> Result<Option<RgbImage>, derain::data::Error> {
        Ok(self.0.next().cloned())
    }
    fn size(&self) -> (u32, u32) {
        (1, 1)
    }
    fn expected(&self) -> Option<usize> {
        None
    }
}

fn rain(density: Density, seed: u64) -> RainOptions {
    let mut rng = Pcg64Mcg::seed_from_u64(seed);
    let preset = RainOptions::preset(density);
    let mut spread = |low: f32, high: f32| low * (high / low).powf(rng.random::<f32>());
    let density_factor = spread(0.6, 1.7);
    RainOptions {
        density: preset.density * density_factor,
        speed: preset.speed * spread(0.5, 1.6),
        opacity: preset.opacity * spread(0.6, 2.0),
        light: preset.light * spread(0.8, 1.5),
        thickness: preset.thickness * spread(0.8, 1.4),
        angle: 35.0 * (2.0 * rng.random::<f32>() - 1.0),
        noise: [0.0, 0.0, 1.0, 2.0, 3.0][rng.random_range(0..5)],
        jpeg: [None, None, Some(90)][rng.random_range(0..3)],
        ..preset
    }
}

fn off(a: &RgbImage, b: &RgbImage, limit: f32) -> f64 {
    let luma = |p: &RgbImage| -> Vec<f32> {
        p.pixels().map(|p| 0.299 * f32::from(p[0]) + 0.587 * f32::from(p[1]) + 0.114 * f32::from(p[2])).collect()
    };
    let (w, h) = (a.width() as usize, a.height() as usize);
    let d: Vec<f32> = luma(a).iter().zip(luma(b)).map(|(a, b)| a - b).collect();
    let mut count = 0;
    for y in 1..h - 1 {
        for x in 1..w - 1 {
            let s: f32 = (0..9).map(|k| d[(y + k / 3 - 1) * w + x + k % 3 - 1]).sum();
            count += usize::from((s / 9.0).abs() > limit);
        }
    }
    count as f64 / (w * h) as f64
}

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let folder = args.next().context("folder")?;
    let clips: usize = args.next().context("clips")?.parse()?;
    let from: usize = args.next().context("from")?.parse()?;
    let folder = Path::new(&folder);
    let names = find_pictures(folder)?;
    let lines: Vec<Result<String>> = (from..from + clips)
        .into_par_iter()
        .map(|index| {
            let density = Density::ALL[index % 3];
            let picture = load_picture(folder.join(&names[(index * 7) % names.len()]))?.image.into_rgb8();
            let (x, y) = ((picture.width() - 240) / 2, (picture.height() - 160) / 2);
            let clean = image::imageops::crop_imm(&picture, x, y, 240, 160).to_image();
            let options = rain(density, index as u64);
            let backdrop = Backdrop::new(&clean, &options)?;
            let scene = RainScene::new(&options, 240, 160, index as u64)?;
            let mut clip = CleanImage::new(CleanOptions::default());
            let mut frames = Vec::new();
            let mut out = String::new();
            for count in COUNTS {
                while clip.frames() < count {
                    let frame = backdrop.apply(&scene.frame(clip.frames() as u64))?.rainy;
                    if frames.len() < 20 {
                        frames.push(frame.clone());
                    }
                    clip.push_owned(frame)?;
                }
                let estimate: Option<DensityEstimate> =
                    if count == 20 { Some(estimate_density(&mut Memory(frames.iter()))?) } else { None };
                let result = clip.result()?;
                if let Some(dir) = std::env::var_os("DUMP") {
                    result.image.save(Path::new(&dir).join(format!("{index}-{count}.png")))?;
                    frames[0].save(Path::new(&dir).join(format!("{index}-in.png")))?;
                }
                let m = Measures::of(&result.image, result.percentile, &clip)?;
                let db = psnr(&result.image, backdrop.background())?;
                let o = off(&result.image, backdrop.background(), 8.0);
                out += &serde_json::to_string(&serde_json::json!({
                    "clip": index, "density": density, "n": count, "p": result.percentile, "m": m, "psnr": db.min(99.0), "off": o,
                    "noise": options.noise, "jpeg": options.jpeg, "coverage": options.coverage(), "estimate": estimate,
                    "input": psnr(&frames[0], backdrop.background())?,
                }))?;
                out += "\n";
            }
            Ok(out)
        })
        .collect();
    let mut stdout = std::io::stdout().lock();
    for line in lines {
        write!(stdout, "{}", line?)?;
    }
    Ok(())
}
