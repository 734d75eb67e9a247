mod derainer;
mod files;
mod training;

pub(super) use derainer::{colourful, derainer};

use std::collections::BTreeMap;
use std::path::PathBuf;

use candle_core::{DType, Device, Tensor};
use derain_ops::{RlcnOptions, rlcn};

use super::padding::{padded_extent, reflected};
use super::{RlcnPooling, RraNet, RraNetConfig, RraNetOutput, planned};
use crate::parameters::{Parameters, builder};
use crate::weights::WeightFile;
use crate::{Error, Result};

/// The network of `tests/fixtures/rranet_tiny.py`.
pub(super) fn tiny() -> RraNetConfig {
    RraNetConfig { widths: [4, 6, 8, 10], stages: 3, attention_widths: Some([5, 3, 6]), ..RraNetConfig::paper() }
}

/// What a file of expected values holds.
pub(super) struct Expected(WeightFile);

impl Expected {
    /// The values that `tests/fixtures/rranet_tiny.py` has made.
    pub(super) fn tiny() -> Result<Self> {
        Ok(Self(WeightFile::parse(include_bytes!("../../../tests/fixtures/rranet_tiny.safetensors"))?))
    }

    pub(super) fn tensor(&self, name: &str) -> Result<Tensor> {
        Ok(self.0.tensors[name].to_candle(DType::F32, &Device::Cpu)?)
    }

    pub(super) fn parameters(&self) -> Result<Parameters> {
        let names = self.0.tensors.keys().filter_map(|name| name.strip_prefix("param."));
        names.map(|name| Ok((name.to_owned(), self.tensor(&format!("param.{name}"))?))).collect()
    }

    pub(super) fn network(&self, config: &RraNetConfig) -> Result<RraNet> {
        RraNet::new(config, builder(self.parameters()?, DType::F32, &Device::Cpu))
    }

    /// Asserts that a result is the expected one; `prefix` stands before its names.
    fn compare(&self, output: &RraNetOutput, prefix: &str, tolerance: f32) -> Result<()> {
        let maps = output.attention.iter().enumerate().map(|(k, map)| (format!("attention.{k}"), map));
        let all: Vec<_> = maps.chain([("output".to_owned(), &output.clean)]).collect();
        assert_eq!(all.len(), 4);
        for (name, got) in all {
            let error = largest_difference(got, &self.tensor(&format!("{prefix}{name}"))?)?;
            eprintln!("{prefix}{name}: largest difference {error:.2e}");
            assert!(error <= tolerance, "{prefix}{name} differs by {error}");
        }
        Ok(())
    }
}

pub(super) fn largest_difference(a: &Tensor, b: &Tensor) -> Result<f32> {
    assert_eq!(a.shape(), b.shape());
    Ok((a - b)?.abs()?.flatten_all()?.max(0)?.to_scalar::<f32>()?)
}

/// Pictures `[B, 3, H, W]` without symmetry.
pub(super) fn picture((batch, height, width): (usize, usize, usize)) -> Result<Tensor> {
    let values = (0..batch * 3 * height * width).map(|i| ((i * 7919) % 1009) as f32 / 1009.0).collect();
    Ok(Tensor::from_vec(values, (batch, 3, height, width), &Device::Cpu)?)
}

#[test]
fn equals_an_independent_implementation() -> Result<()> {
    let expected = Expected::tiny()?;
    let input = expected.tensor("input")?;
    let error = largest_difference(&rlcn(&input, &RlcnOptions::default())?, &expected.tensor("rlcn")?)?;
    assert!(error <= 1e-5, "RLCN differs by {error}");
    for (way, rlcn_pooling) in [("max.", RlcnPooling::Max), ("average.", RlcnPooling::Average)] {
        let network = expected.network(&RraNetConfig { rlcn_pooling, ..tiny() })?;
        expected.compare(&network.forward(&input)?, way, 1e-5)?;
        expected.compare(&planned::tests::run(&network, &input)?, way, 1e-5)?;
    }
    Ok(())
}

/// The same against a PyTorch implementation of others, where its values are at hand.
#[test]
fn equals_the_reference_data() -> Result<()> {
    let Some(data) = std::env::var_os("DERAIN_REFERENCE_DATA").map(PathBuf::from) else {
        eprintln!("skipped: DERAIN_REFERENCE_DATA does not name a folder with expected values");
        return Ok(());
    };
    let expected = Expected(WeightFile::open(data.join("expected/rranet_tiny.safetensors"))?);
    let config = RraNetConfig { widths: [4, 8, 16, 32], stages: 3, ..RraNetConfig::paper() };
    let input = expected.tensor("input")?;
    let error = largest_difference(&rlcn(&input, &RlcnOptions::default())?, &expected.tensor("rlcn")?)?;
    assert!(error <= 1e-5, "RLCN differs by {error}");
    let network = expected.network(&config)?;
    expected.compare(&network.forward(&input)?, "", 1e-4)?;
    expected.compare(&planned::tests::run(&network, &input)?, "", 1e-4)
}

#[test]
fn the_default_has_as_many_parameters_as_the_paper_says() -> Result<()> {
    let shapes = crate::parameters::shapes(|vb| RraNet::new(&RraNetConfig::default(), vb))?;
    let trained = shapes.iter().filter(|(name, _)| !name.contains(".running_"));
    assert_eq!(trained.map(|(_, shape)| shape.iter().product::<usize>()).sum::<usize>(), 8_539_052);
    assert_eq!(shapes["decoder.0.gam.w_l.0.weight"], [64, 3, 3, 3]);
    assert_eq!(shapes["encoder.3.lstm.o.weight"], [256, 512, 3, 3]);
    assert!(!shapes.contains_key("encoder.0.shortcut.0.weight"));
    assert_eq!(RraNetConfig::small().attention_channels(), [32, 16, 16]);
    Ok(())
}

#[test]
fn every_small_size_runs() -> Result<()> {
    let network = Expected::tiny()?.network(&RraNetConfig { stages: 1, ..tiny() })?;
    for height in 1..=20 {
        for width in 1..=20 {
            let output = network.forward(&picture((1, height, width))?)?;
            assert_eq!(output.clean.dims(), [1, 3, height, width]);
            for (map, scale) in output.attention.iter().zip([4, 2, 1]) {
                assert_eq!(map.dims(), [1, 1, height.div_ceil(scale), width.div_ceil(scale)]);
            }
            let all = output.clean.flatten_all()?.to_vec1::<f32>()?;
            assert!(all.iter().all(|value| value.is_finite()), "{height}x{width}");
        }
    }
    Ok(())
}

#[test]
fn padding_is_a_mirror_image() -> Result<()> {
    let network = Expected::tiny()?.network(&tiny())?;
    // Columns 0 1 2 3 4 go on 3 2 1; rows 0 1 2 go on 1 0 1 2 1.
    let (rows, columns) = ([0, 1, 2, 1, 0, 1, 2, 1], [0, 1, 2, 3, 4, 3, 2, 1]);
    let small = picture((2, 3, 5))?;
    let [rows, columns] = [rows, columns].map(|indices: [u32; 8]| Tensor::new(&indices, &Device::Cpu));
    let padded = small.index_select(&rows?, 2)?.index_select(&columns?, 3)?;
    let (got, whole) = (network.forward(&small)?, network.forward(&padded)?);
    let bits = |tensor: &Tensor| tensor.flatten_all()?.to_vec1::<f32>();
    assert_eq!(bits(&got.clean)?, bits(&whole.clean.narrow(2, 0, 3)?.narrow(3, 0, 5)?)?);
    assert_eq!(bits(&got.attention[0])?, bits(&whole.attention[0].narrow(2, 0, 1)?)?);
    Ok(())
}

#[test]
fn reflection_repeats() {
    let line = |extent| (0..padded_extent(extent)).map(|index| reflected(index, extent)).collect::<Vec<_>>();
    assert_eq!(line(1), [0; 8]);
    assert_eq!(line(2), [0, 1, 0, 1, 0, 1, 0, 1]);
    assert_eq!(line(3), [0, 1, 2, 1, 0, 1, 2, 1]);
    assert_eq!(line(9), [0, 1, 2, 3, 4, 5, 6, 7, 8, 7, 6, 5, 4, 3, 2, 1]);
    assert_eq!(line(8), [0, 1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn batches_that_are_none_are_refused() -> Result<()> {
    let network = Expected::tiny()?.network(&tiny())?;
    for shape in [&[1, 1, 8, 8][..], &[0, 3, 8, 8], &[1, 3, 0, 8], &[3, 8, 8]] {
        let result = network.forward(&Tensor::zeros(shape, DType::F32, &Device::Cpu)?);
        assert!(matches!(result, Err(Error::Pictures { .. })), "{result:?}");
    }
    let double = network.forward(&picture((1, 8, 8))?.to_dtype(DType::F64)?);
    assert!(matches!(double, Err(Error::PictureType { expected: DType::F32, got: DType::F64 })), "{double:?}");
    // One pixel at an eighth of the size: a batch norm cannot learn from it.
    assert!(matches!(network.forward_train(&picture((1, 8, 8))?), Err(Error::Ops(_))));
    network.forward_train(&picture((2, 8, 8))?)?;
    // Nothing is left to learn statistics of.
    let folded = network.without_norms()?.forward_train(&picture((2, 8, 8))?);
    assert!(matches!(folded, Err(Error::Config { .. })));
    Ok(())
}

#[test]
fn configurations_that_are_none_are_refused() {
    let option = |config: RraNetConfig| match config.initial_weights(0) {
        Err(Error::Config { option, .. }) => option,
        other => panic!("{:?}", other.map(|weights| weights.len())),
    };
    let rlcn = |change: fn(&mut super::RraNetRlcn)| {
        let mut config = tiny();
        change(&mut config.rlcn);
        config
    };
    assert_eq!(option(RraNetConfig { widths: [0, 1, 1, 1], ..tiny() }), "widths");
    assert_eq!(option(RraNetConfig { widths: [1, 1, 1, usize::MAX], ..tiny() }), "widths");
    assert_eq!(option(RraNetConfig { attention_widths: Some([1, 0, 1]), ..tiny() }), "attention_widths");
    assert_eq!(option(RraNetConfig { stages: 0, ..tiny() }), "stages");
    assert_eq!(option(RraNetConfig { stages: usize::MAX, ..tiny() }), "stages");
    assert_eq!(option(RraNetConfig { norm_epsilon: f64::NAN, ..tiny() }), "norm_epsilon");
    assert_eq!(option(rlcn(|rlcn| rlcn.window = 8)), "rlcn.window");
    assert_eq!(option(rlcn(|rlcn| rlcn.window = usize::MAX)), "rlcn.window");
    assert_eq!(option(rlcn(|rlcn| rlcn.epsilon = 0.0)), "rlcn.epsilon");
    assert_eq!(option(rlcn(|rlcn| rlcn.variance_epsilon = f64::INFINITY)), "rlcn.variance_epsilon");
    let unknown = serde_json::from_str::<RraNetConfig>(r#"{"stage": 3}"#);
    assert!(unknown.is_err(), "{unknown:?}");
    let some = serde_json::from_str::<RraNetConfig>(r#"{"widths": [16, 32, 64, 128], "stages": 3}"#);
    assert_eq!(some.expect("a configuration"), RraNetConfig::small());
}

/// By parameter name: what a state dict holds.
type Named<T> = BTreeMap<String, T>;
