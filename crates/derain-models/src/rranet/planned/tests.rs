use candle_core::{DType, Device, Tensor};

use super::super::tests::{Expected, colourful, derainer, largest_difference, picture, tiny};
use super::super::{RlcnPooling, RraNet, RraNetConfig, RraNetOutput};
use super::Planned;
use super::pass::TILE_SIZES;
use crate::Result;
use crate::engine::Progress;
use crate::parameters::{Parameters, builder};
use crate::testing::{assert_progress_rises, assert_stops};

/// The planned executor on what the other one takes.
pub(crate) fn run(network: &RraNet, pictures: &Tensor) -> Result<RraNetOutput> {
    let planned = Planned::new(network)?;
    let (batch, _, height, width) = pictures.dims4()?;
    let (mut clean, mut maps) = (Vec::new(), vec![Vec::new(); 3]);
    for index in 0..batch {
        let pixels = pictures.get(index)?.permute((1, 2, 0))?.flatten_all()?.to_vec1::<f32>()?;
        let out = planned.run((height, width), &pixels, Progress::SILENT)?;
        clean.push(Tensor::from_vec(out.clean, (height, width, 3), &Device::Cpu)?.permute((2, 0, 1))?);
        for (maps, map) in maps.iter_mut().zip(out.maps) {
            let rows = map.values.len() / map.width;
            maps.push(Tensor::from_vec(map.values, (1, rows, map.width), &Device::Cpu)?);
        }
    }
    let attention = maps.iter().map(|maps| Tensor::stack(maps, 0)).collect::<candle_core::Result<_>>()?;
    Ok(RraNetOutput { clean: Tensor::stack(&clean, 0)?, attention })
}

/// A network whose features keep some size through all stages: initial weights with convolutions drawn wider.
fn network(config: &RraNetConfig) -> Result<RraNet> {
    let mut parameters = Parameters::new();
    for (index, (name, value)) in config.initial_weights(7)?.into_iter().enumerate() {
        let value = match name.rsplit('.').next() {
            Some("weight") if value.rank() == 4 => {
                let fan_in = value.elem_count() / value.dim(0)?;
                (value * (0.7 / 0.02 / (fan_in as f64).sqrt()))?
            }
            Some("running_mean" | "bias") => {
                let values: Vec<f32> =
                    (0..value.elem_count()).map(|i| ((i * 5 + index) % 7) as f32 / 20.0 - 0.15).collect();
                Tensor::from_vec(values, value.shape(), &Device::Cpu)?
            }
            _ => value,
        };
        parameters.insert(name, value);
    }
    RraNet::new(config, builder(parameters, DType::F32, &Device::Cpu))
}

#[test]
fn both_executors_compute_the_same() -> Result<()> {
    let wide = RraNetConfig { widths: [20, 32, 48, 40], attention_widths: Some([24, 16, 7]), stages: 2, ..tiny() };
    let equal = RraNetConfig { widths: [16; 4], rlcn_pooling: RlcnPooling::Average, ..tiny() };
    for (what, network) in [
        ("fixture", Expected::tiny()?.network(&tiny())?),
        ("odd widths", network(&wide)?),
        ("equal widths", network(&equal)?),
        ("small", network(&RraNetConfig::small())?),
    ] {
        for size in [(1, 1), (1, 50), (9, 1), (8, 8), (13, 21), (40, 50), (71, 110)] {
            let picture = picture((1, size.0, size.1))?;
            let (got, expected) = (run(&network, &picture)?, network.forward(&picture)?);
            let error = largest_difference(&got.clean, &expected.clean)?;
            let range = largest_difference(&expected.clean, &expected.clean.zeros_like()?)?;
            assert!(error <= 1e-4 * range, "{what} {size:?}: {error} of {range}");
            for (got, expected) in got.attention.iter().zip(&expected.attention) {
                let error = largest_difference(got, expected)?;
                assert!(error <= 1e-4, "{what} {size:?}, attention: {error}");
            }
        }
    }
    Ok(())
}

#[test]
fn threads_and_tiles_change_no_bit() -> Result<()> {
    let network = network(&RraNetConfig::small())?;
    let bits = |output: RraNetOutput| -> Result<Vec<u32>> {
        let all = output.attention.iter().chain([&output.clean]).map(|tensor| tensor.flatten_all()?.to_vec1::<f32>());
        Ok(all.collect::<candle_core::Result<Vec<_>>>()?.concat().into_iter().map(f32::to_bits).collect())
    };
    for size in [(40, 30), (65, 20), (131, 120)] {
        let picture = picture((1, size.0, size.1))?;
        let mut expected = None;
        // The number of threads decides the size of tiles, too.
        for threads in [1, 2, 3, 8, 20] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a thread pool");
            let got = bits(pool.install(|| run(&network, &picture))?)?;
            let expected = expected.get_or_insert_with(|| got.clone());
            assert!(*expected == got, "{size:?}, {threads} threads");
        }
    }
    Ok(())
}

/// The second run finds the first one's buffers, and a run between has left values of another size.
#[test]
fn used_buffers_change_no_bit() -> Result<()> {
    let derainer = derainer()?;
    let first = derainer.derain(&colourful(40, 24))?.image;
    assert_eq!(derainer.derain(&colourful(40, 24))?.image, first);
    derainer.derain(&colourful(24, 40))?;
    assert_eq!(derainer.derain(&colourful(40, 24))?.image, first);
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

/// Bits would depend on tiles if these did not lie on every form's grid.
#[test]
fn tiles_lie_on_the_grids() -> Result<()> {
    for convolution in Planned::new(&network(&RraNetConfig::small())?)?.convolutions() {
        for (rows, columns) in TILE_SIZES {
            assert!(rows % convolution.grid() == 0 && columns % convolution.grid() == 0);
        }
    }
    Ok(())
}

#[test]
fn memory_is_counted_beforehand() -> Result<()> {
    let derainer = derainer()?;
    assert_eq!(derainer.memory_needed(u32::MAX, u32::MAX), u64::MAX);
    let default = Planned::new(&RraNet::new(
        &RraNetConfig::default(),
        builder(RraNetConfig::default().initial_weights(1)?, DType::F32, &Device::Cpu),
    )?)?;
    let needed = rayon::ThreadPoolBuilder::new()
        .num_threads(2)
        .build()
        .expect("a pool")
        .install(|| default.memory_needed(2160, 3840));
    assert!(needed < 10 << 30, "{needed}");
    Ok(())
}
