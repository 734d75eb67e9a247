//! Rain over one frame of 1920x1080: placing, drawing and blending.
//!
//! Floor: drawing touches each covered pixel once per streak (`RainOptions::coverage`, 1.3 for dense rain); blending
//! reads 7 bytes a pixel and writes 7.

#![allow(clippy::expect_used, reason = "a bench that cannot set up has nothing to measure")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use derain::data::synthesis::{Backdrop, Density, RainOptions, RainScene};
use image::{Rgb, RgbImage};

fn benches(criterion: &mut Criterion) {
    let picture = RgbImage::from_fn(1920, 1080, |x, y| Rgb([(x / 8) as u8, (y / 5) as u8, ((x ^ y) / 8) as u8]));
    let mut group = criterion.benchmark_group("rain 1920x1080");
    group.sample_size(10);
    for (name, density) in [("normal", Density::Normal), ("dense", Density::Dense)] {
        let options = RainOptions::preset(density);
        let scene = RainScene::new(&options, 1920, 1080, 1).expect("a valid preset");
        let backdrop = Backdrop::new(&picture, &options).expect("a valid preset");
        let layer = scene.frame(0);
        group.bench_function(format!("{name}: scene"), |bench| {
            bench.iter(|| RainScene::new(black_box(&options), 1920, 1080, 1));
        });
        group.bench_function(format!("{name}: backdrop"), |bench| {
            bench.iter(|| Backdrop::new(black_box(&picture), &options));
        });
        let mut frame = 0;
        group.bench_function(format!("{name}: frame"), |bench| {
            bench.iter(|| {
                frame += 1;
                scene.frame(frame)
            });
        });
        group.bench_function(format!("{name}: apply"), |bench| bench.iter(|| backdrop.apply(black_box(&layer))));
    }
    group.finish();
}

criterion_group!(synthesis, benches);
criterion_main!(synthesis);
