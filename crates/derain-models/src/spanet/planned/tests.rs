use candle_core::{DType, Device, Tensor};
use image::{DynamicImage, RgbImage};
use rayon::prelude::*;

use super::super::tests::{largest_difference, variants};
use super::super::{SpaNet, SpaNetConfig, SpaNetOutput, initial_weight_file};
use super::Planned;
use crate::engine::{Progress, Storage};
use crate::parameters::builder;
use crate::testing::{assert_progress_rises, assert_stops};
use crate::weights::WeightFile;
use crate::{Derainer, Error, Network, Result};

/// A picture `[1, 3, H, W]` without symmetry.
fn picture(height: usize, width: usize) -> Result<Tensor> {
    let values = (0..3 * height * width).map(|i| (i * 7 % 13 + i / 5 % 11) as f32 / 24.0).collect();
    Ok(Tensor::from_vec(values, (1, 3, height, width), &Device::Cpu)?)
}

fn network(config: &SpaNetConfig, seed: u64) -> Result<SpaNet> {
    SpaNet::new(config, builder(config.initial_weights(seed)?, DType::F32, &Device::Cpu))
}

/// The planned executor on what the other one takes.
pub(crate) fn run(network: &SpaNet, pictures: &Tensor, storage: Storage<'_>) -> Result<SpaNetOutput> {
    let (batch, _, height, width) = pictures.dims4()?;
    let planned = Planned::new(network)?;
    let (mut clean, mut maps) = (Vec::new(), Vec::new());
    for picture in 0..batch {
        let pixels = pictures.get(picture)?.permute((1, 2, 0))?.flatten_all()?.to_vec1()?;
        let out = planned.run((height, width), pixels, storage, Progress::SILENT)?;
        clean.push(Tensor::from_vec(out.clean, (height, width, 3), &Device::Cpu)?.permute((2, 0, 1))?);
        if let Some(map) = out.attention {
            maps.push(Tensor::from_vec(map, (1, height, width), &Device::Cpu)?);
        }
    }
    let attention = if maps.is_empty() { None } else { Some(Tensor::stack(&maps, 0)?) };
    Ok(SpaNetOutput { clean: Tensor::stack(&clean, 0)?, attention })
}

/// Pictures below and above the sizes of bands and rectangles.
const SIZES: [(usize, usize); 11] =
    [(1, 1), (1, 50), (50, 1), (2, 3), (9, 33), (32, 48), (33, 49), (64, 96), (64, 97), (71, 110), (97, 200)];

#[test]
fn both_executors_compute_the_same() -> Result<()> {
    let wide = |channels| SpaNetConfig { channels, ..SpaNetConfig::paper() };
    // 40 channels: two groups of input channels, the second with padding.
    let larger = [("32 channels", wide(32)), ("release", SpaNetConfig::release()), ("40 channels", wide(40))];
    for (variant, config) in variants().into_iter().chain(larger) {
        let network = network(&config, 6)?;
        for (height, width) in SIZES {
            let picture = picture(height, width)?;
            let expected = network.forward(&picture)?;
            let got = run(&network, &picture, Storage::Memory)?;
            let error = largest_difference(&got.clean, &expected.clean)?;
            assert!(error <= 1e-5, "{variant} {height}x{width}: {error}");
            assert_eq!(got.attention.is_some(), expected.attention.is_some());
            if let (Some(got), Some(expected)) = (got.attention, expected.attention) {
                let error = largest_difference(&got, &expected)?;
                assert!(error <= 1e-5, "{variant} {height}x{width}, attention: {error}");
            }
        }
    }
    Ok(())
}

fn bits(output: &SpaNetOutput) -> Result<Vec<u32>> {
    let mut bits = Vec::new();
    for tensor in [Some(&output.clean), output.attention.as_ref()].into_iter().flatten() {
        bits.extend(tensor.flatten_all()?.to_vec1::<f32>()?.into_iter().map(f32::to_bits));
    }
    Ok(bits)
}

#[test]
fn threads_bands_and_files_change_no_bit() -> Result<()> {
    let folder = tempfile::tempdir().expect("a folder");
    let network = network(&SpaNetConfig::paper(), 7)?;
    // 65 rows: a last band of one row.
    for (height, width) in [(40, 30), (65, 20), (131, 120)] {
        let picture = picture(height, width)?;
        let mut expected = None;
        // The number of threads decides the height of bands, too.
        for threads in [1, 2, 3, 8] {
            for storage in [Storage::Memory, Storage::File(None), Storage::File(Some(folder.path()))] {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a thread pool");
                let got = bits(&pool.install(|| run(&network, &picture, storage))?)?;
                let expected = expected.get_or_insert_with(|| got.clone());
                assert!(*expected == got, "{height}x{width}, {threads} threads, {storage:?}");
            }
        }
    }
    assert_eq!(std::fs::read_dir(folder.path()).expect("readable").count(), 0, "files are left");
    Ok(())
}

fn derainer() -> Result<Derainer> {
    let file = WeightFile::parse(&initial_weight_file(&SpaNetConfig::paper(), 8)?)?;
    Derainer::from_weight_file(Network::SpaNet, &file, &Device::Cpu)
}

#[test]
fn a_limit_moves_features_to_files_and_then_refuses() -> Result<()> {
    // What is needed depends on the number of threads.
    rayon::ThreadPoolBuilder::new().num_threads(2).build().expect("a thread pool").install(limited)
}

fn limited() -> Result<()> {
    let derainer = derainer()?;
    let picture = RgbImage::from_fn(150, 600, |x, y| image::Rgb([(x * 3) as u8, (y * 2) as u8, (x * y) as u8]));
    let expected = derainer.derain(&picture)?;
    let (whole, with_files) = (derainer.memory_needed(150, 600), derainer.memory_needed_with_files(150, 600));
    assert!(with_files < whole, "{with_files} {whole}");
    let spooled = derainer.clone().with_max_memory(Some(with_files)).derain(&picture)?;
    assert_eq!(spooled.image, expected.image);
    assert_eq!(spooled.attention, expected.attention);
    let nowhere = derainer.clone().with_max_memory(Some(with_files)).with_spool_folder("/no/such/folder");
    assert!(matches!(nowhere.derain(&picture), Err(Error::Spool(_))));
    let refused = derainer.with_max_memory(Some(with_files - 1)).derain(&picture);
    assert!(matches!(refused, Err(Error::Memory { needed, .. }) if needed == with_files), "{refused:?}");
    Ok(())
}

#[test]
fn progress_rises_to_one() -> Result<()> {
    assert_progress_rises(&derainer()?)
}

#[test]
fn a_run_can_be_stopped() -> Result<()> {
    assert_stops(&derainer()?)
}

/// Bits would depend on bands if these did not lie on every form's grid.
#[test]
fn bands_and_rectangles_lie_on_the_grids() -> Result<()> {
    for (_, config) in variants().into_iter().chain([("", SpaNetConfig::paper())]) {
        for convolution in Planned::new(&network(&config, 1)?)?.convolutions() {
            for size in [super::BAND_ROWS, super::FEWEST_BAND_ROWS, super::COLUMNS, super::scans::COLUMNS] {
                assert_eq!(size % convolution.grid(), 0);
            }
        }
    }
    Ok(())
}

#[test]
fn one_derainer_serves_many_threads_and_whoever_is_told_may_use_them() -> Result<()> {
    let derainer = derainer()?;
    let picture = DynamicImage::new_rgb8(90, 80);
    let expected = derainer.derain_dynamic(&picture)?;
    let progress = |_: f64| {
        rayon::join(|| std::hint::black_box(1), || std::hint::black_box(2));
    };
    let run = || derainer.derain_dynamic_with_progress(&picture, &progress).map(|out| out.image == expected);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..3).map(|_| scope.spawn(run)).collect();
        assert!(threads.into_iter().all(|thread| matches!(thread.join(), Ok(Ok(true)))));
    });
    let mut inside = [false; 6];
    inside.par_iter_mut().for_each(|same| *same = matches!(run(), Ok(true)));
    assert_eq!(inside, [true; 6]);
    // A picture within a picture.
    let nested = |_| assert!(derainer.derain_dynamic(&DynamicImage::new_rgb8(9, 9)).is_ok());
    assert_eq!(derainer.derain_dynamic_with_progress(&picture, &nested)?.image, expected);
    Ok(())
}

#[test]
fn what_no_memory_could_hold_is_counted_without_overflow() -> Result<()> {
    let derainer = derainer()?.with_max_memory(Some(u64::MAX - 1));
    assert_eq!(derainer.memory_needed(u32::MAX, u32::MAX), u64::MAX);
    assert!(derainer.memory_needed_with_files(u32::MAX, u32::MAX) > 1 << 40);
    Ok(())
}
