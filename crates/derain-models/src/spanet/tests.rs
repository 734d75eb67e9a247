use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor, Var};
use image::{DynamicImage, GrayAlphaImage, GrayImage, Luma, LumaA, Rgb, RgbImage, Rgba, RgbaImage};

use super::{
    Attention, ChannelOrder, DirectionWeights, SpaNet, SpaNetConfig, initial_weight_file, is_configured, planned,
    recognize, set_configuration, weight_file,
};
use crate::engine::Storage;
use crate::parameters::builder;
use crate::weights::WeightFile;
use crate::{Derainer, Error, Network, Placement, Precision, Result};

pub(super) fn variants() -> [(&'static str, SpaNetConfig); 6] {
    let of = |attention, direction_weights| SpaNetConfig {
        channels: 4,
        attention,
        direction_weights,
        channel_order: ChannelOrder::Rgb,
    };
    [
        ("paper", of(Attention::Shared, DirectionWeights::Multiplied)),
        ("release", of(Attention::Shared, DirectionWeights::Ignored)),
        ("once", of(Attention::Once, DirectionWeights::Multiplied)),
        ("separate", of(Attention::Separate, DirectionWeights::Multiplied)),
        ("no_branch", of(Attention::Shared, DirectionWeights::Absent)),
        ("no_attention", of(Attention::None, DirectionWeights::Absent)),
    ]
}

pub(super) fn largest_difference(a: &Tensor, b: &Tensor) -> Result<f32> {
    assert_eq!(a.shape(), b.shape());
    Ok((a - b)?.abs()?.flatten_all()?.max(0)?.to_scalar::<f32>()?)
}

/// `tests/fixtures/spanet_tiny.py` made the expected values.
#[test]
fn every_variant_equals_an_independent_implementation() -> Result<()> {
    let stored = WeightFile::parse(include_bytes!("../../tests/fixtures/spanet_tiny.safetensors"))?;
    let tensor = |name: &str| stored.tensors[name].to_candle(DType::F32, &Device::Cpu);
    for (variant, config) in variants() {
        let names = config.initial_weights(0)?;
        let parameters = names.keys().map(|name| Ok((name.clone(), tensor(&format!("param.{name}"))?)));
        let parameters = parameters.collect::<Result<BTreeMap<_, _>>>()?;
        let network = SpaNet::new(&config, builder(parameters, DType::F32, &Device::Cpu))?;
        let input = tensor("input")?;
        for output in [network.forward(&input)?, planned::tests::run(&network, &input, Storage::Memory)?] {
            let error = largest_difference(&output.clean, &tensor(&format!("{variant}.output"))?)?;
            assert!(error <= 1e-5, "{variant}: output differs by {error}");
            match output.attention {
                Some(map) => {
                    let error = largest_difference(&map, &tensor(&format!("{variant}.attention"))?)?;
                    assert!(error <= 1e-5, "{variant}: attention differs by {error}");
                }
                None => assert_eq!(variant, "no_attention"),
            }
        }
    }
    Ok(())
}

/// The released checkpoint against an independent PyTorch implementation, where that data is at hand.
#[test]
fn released_weights_equal_an_independent_implementation() -> Result<()> {
    let Some(data) = std::env::var_os("DERAIN_REFERENCE_DATA").map(std::path::PathBuf::from) else {
        eprintln!("skipped: DERAIN_REFERENCE_DATA does not name a folder with the released checkpoint");
        return Ok(());
    };
    let weights = WeightFile::open(data.join("checkpoints/spanet_released.pth"))?;
    assert_eq!(recognize(&weights)?, SpaNetConfig::release());
    let expected = WeightFile::open(data.join("expected/spanet_released.safetensors"))?;
    let tensor = |name: &str| expected.tensors[name].to_candle(DType::F32, &Device::Cpu);
    let mut compared = 0;
    for form in ["", "_directional"] {
        let direction_weights = if form.is_empty() { DirectionWeights::Ignored } else { DirectionWeights::Multiplied };
        let config = SpaNetConfig { direction_weights, ..SpaNetConfig::release() };
        let network = SpaNet::with_config(&config, &weights, &Device::Cpu)?;
        for name in expected.tensors.keys().filter_map(|name| name.strip_suffix(".input")) {
            let input = tensor(&format!("{name}.input"))?;
            let planned = planned::tests::run(&network, &input, Storage::Memory)?;
            for (executor, output) in [("tensors", network.forward(&input)?), ("planned", planned)] {
                let map = output.attention.expect("a map");
                for (what, got) in [("output", output.clean), ("attention", map)] {
                    let error = largest_difference(&got, &tensor(&format!("{name}.{what}{form}"))?)?;
                    eprintln!("{name}.{what}{form}, {executor}: largest difference {error:.2e}");
                    assert!(error <= 1e-4, "{name}.{what}{form}, {executor}, differs by {error}");
                    compared += 1;
                }
            }
        }
    }
    assert!(compared >= 4, "the expected file holds no cases");
    Ok(())
}

#[test]
fn parameters_are_those_of_the_release() -> Result<()> {
    for config in [SpaNetConfig::paper(), SpaNetConfig::release()] {
        let parameters = config.initial_weights(1)?;
        assert_eq!(parameters.len(), 79);
        assert_eq!(parameters.values().map(Tensor::elem_count).sum::<usize>(), 283_716);
    }
    let parameters = SpaNetConfig::paper().initial_weights(1)?;
    assert_eq!(parameters["SAM1.irnn2.left_weight.weight"].dims(), [32, 1, 1, 1]);
    assert!(parameters["SAM1.irnn1.up_weight.weight"].flatten_all()?.to_vec1::<f32>()?.iter().all(|&a| a == 0.2));
    Ok(())
}

#[test]
fn initial_weights_follow_their_seed() -> Result<()> {
    let config = &variants()[0].1;
    assert_eq!(initial_weight_file(config, 1)?, initial_weight_file(config, 1)?);
    assert_ne!(initial_weight_file(config, 1)?, initial_weight_file(config, 2)?);
    let conv = config.initial_weights(1)?["SAM1.conv2.weight"].flatten_all()?.to_vec1::<f32>()?;
    let bound = (4.0f32 * 4.0 * 9.0).sqrt().recip();
    assert!(conv.iter().all(|w| w.abs() <= bound) && conv.iter().any(|w| w.abs() > 0.9 * bound));
    Ok(())
}

#[test]
fn files_remember_their_configuration() -> Result<()> {
    for (variant, config) in variants() {
        let file = WeightFile::parse(&initial_weight_file(&config, 3)?)?;
        assert_eq!(recognize(&file)?, config, "{variant}");
        assert_eq!(SpaNet::from_file(&file, &Device::Cpu)?.config(), &config, "{variant}");
        // Without the note, as a file of the release: what names and shapes tell is still right.
        let bare = WeightFile { metadata: BTreeMap::new(), ..file };
        let seen = recognize(&bare)?;
        assert_eq!((seen.channels, seen.channel_order), (4, ChannelOrder::Bgr), "{variant}");
        assert_eq!(seen.attention == Attention::None, config.attention == Attention::None, "{variant}");
        SpaNet::from_file(&bare, &Device::Cpu)?;
    }
    Ok(())
}

#[test]
fn foreign_weights_are_refused_by_name() -> Result<()> {
    let config = &variants()[0].1;
    let tensors = config.initial_weights(1)?;
    let refused = |change: &dyn Fn(&mut BTreeMap<String, Tensor>)| {
        let mut tensors = tensors.clone();
        change(&mut tensors);
        match weight_file(config, &tensors) {
            Err(Error::Weights { problems, .. }) => problems,
            other => panic!("{other:?}"),
        }
    };
    let zeros = Tensor::zeros((4, 4), DType::F32, &Device::Cpu)?;
    assert_eq!(refused(&|t| drop(t.remove("conv_out.0.weight"))), "missing: conv_out.0.weight");
    assert_eq!(refused(&|t| drop(t.insert("head.weight".into(), zeros.clone()))), "not known: head.weight");
    let reshaped = refused(&|t| drop(t.insert("SAM1.conv2.weight".into(), zeros.clone())));
    assert_eq!(reshaped, "of another shape: SAM1.conv2.weight [4, 4] instead of [4, 16, 3, 3]");
    let most = refused(&|t| t.retain(|name, _| name == "conv_out.0.weight"));
    assert!(most.starts_with("missing: SAM1.") && most.ends_with("and 70 more"), "{most}");

    let escape = refused(&|t| drop(t.insert("\u{1b}[31m".into(), zeros.clone())));
    assert_eq!(escape, "not known: \\u{1b}[31m");
    let huge = SpaNetConfig { channels: 4096, ..config.clone() };
    let file = WeightFile::parse(&weight_file(config, &tensors)?)?;
    assert!(matches!(SpaNet::with_config(&huge, &file, &Device::Cpu), Err(Error::Weights { .. })));
    for channels in [0, 3, 4098] {
        let odd = SpaNetConfig { channels, ..config.clone() };
        assert!(matches!(odd.initial_weights(0), Err(Error::Config { option: "channels", .. })));
    }
    Ok(())
}

#[test]
fn weights_that_are_not_finite_are_refused() -> Result<()> {
    let config = &variants()[0].1;
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut tensors = config.initial_weights(1)?;
        let mut values = tensors["conv_out.0.weight"].flatten_all()?.to_vec1::<f32>()?;
        values[7] = bad;
        tensors.insert("conv_out.0.weight".into(), Tensor::from_vec(values, (3, 4, 3, 3), &Device::Cpu)?);
        let result = weight_file(config, &tensors);
        assert!(matches!(&result, Err(Error::NotFiniteWeights { name }) if name == "conv_out.0.weight"), "{result:?}");
    }
    Ok(())
}

#[test]
fn a_file_can_be_told_its_configuration() -> Result<()> {
    let config = SpaNetConfig { channels: 4, ..SpaNetConfig::paper() };
    let mut file = WeightFile::parse(&initial_weight_file(&config, 1)?)?;
    assert!(is_configured(&file));
    file.metadata.clear();
    assert!(!is_configured(&file));
    assert_eq!(recognize(&file)?, SpaNetConfig { channels: 4, ..SpaNetConfig::release() });
    let wider = SpaNetConfig { channels: 6, ..config.clone() };
    assert!(matches!(set_configuration(&mut file, &wider), Err(Error::Weights { .. })) && !is_configured(&file));
    set_configuration(&mut file, &config)?;
    assert_eq!(recognize(&WeightFile::parse(&file.to_safetensors()?)?)?, config);
    Ok(())
}

/// Finite weights can still overflow; the picture must not silently become black.
#[test]
fn results_that_are_not_finite_are_refused() -> Result<()> {
    let config = &variants()[5].1;
    let tensors = config.initial_weights(1)?.into_iter().map(|(name, value)| Ok((name, (value.abs()? * 1e30)?)));
    let file = WeightFile::parse(&weight_file(config, &tensors.collect::<Result<_>>()?)?)?;
    let derainer = Derainer::from_weight_file(Network::SpaNet, &file, &Device::Cpu)?;
    let result = derainer.derain(&RgbImage::from_pixel(3, 2, Rgb([9, 9, 9])));
    assert!(matches!(result, Err(Error::NotFiniteResult { x: 0, y: 0, precision: Precision::F32 })), "{result:?}");
    Ok(())
}

#[test]
fn gradients_reach_every_parameter() -> Result<()> {
    let picture =
        Tensor::from_vec((0..3 * 9 * 8).map(|i| (i * 7 % 13) as f32 / 13.0).collect(), (1, 3, 9, 8), &Device::Cpu)?;
    for (variant, config) in variants() {
        let vars = config.initial_weights(5)?.into_iter().map(|(name, value)| Ok((name, Var::from_tensor(&value)?)));
        let vars = vars.collect::<Result<BTreeMap<_, _>>>()?;
        let tensors = vars.iter().map(|(name, var)| (name.clone(), var.as_tensor().clone())).collect();
        let network = SpaNet::new(&config, builder(tensors, DType::F32, &Device::Cpu))?;
        let output = network.forward(&picture)?;
        let mut loss = output.clean.sqr()?.mean_all()?;
        if let Some(map) = output.attention {
            loss = (loss + map.sqr()?.mean_all()?)?;
        }
        let gradients = loss.backward()?;
        for (name, var) in &vars {
            // The branch of the release's form takes no part.
            let idle = name.contains("attention_layer") && config.direction_weights == DirectionWeights::Ignored;
            assert_eq!(gradients.get(var).is_none(), idle, "{variant}: {name}");
        }
    }
    Ok(())
}

fn tiny_derainer() -> Result<Derainer> {
    let file = WeightFile::parse(&initial_weight_file(&variants()[0].1, 8)?)?;
    Derainer::from_weight_file(Network::SpaNet, &file, &Device::Cpu)
}

#[test]
fn every_pixel_format_keeps_its_kind_and_alpha() -> Result<()> {
    let derainer = tiny_derainer()?;
    let rgba = RgbaImage::from_fn(7, 5, |x, y| Rgba([(x * 36) as u8, (y * 50) as u8, 90, (x * 5 + y) as u8]));
    let rgba8 = DynamicImage::ImageRgba8(rgba);
    let pictures = [
        DynamicImage::ImageLuma8(rgba8.to_luma8()),
        DynamicImage::ImageLumaA8(rgba8.to_luma_alpha8()),
        DynamicImage::ImageRgb8(rgba8.to_rgb8()),
        DynamicImage::ImageLuma16(rgba8.to_luma16()),
        DynamicImage::ImageLumaA16(rgba8.to_luma_alpha16()),
        DynamicImage::ImageRgb16(rgba8.to_rgb16()),
        DynamicImage::ImageRgba16(rgba8.to_rgba16()),
        DynamicImage::ImageRgb32F(rgba8.to_rgb32f()),
        DynamicImage::ImageRgba32F(rgba8.to_rgba32f()),
        rgba8.clone(),
    ];
    let expected = derainer.derain(&rgba8.to_rgb8())?.image;
    for picture in pictures {
        let out = derainer.derain_dynamic(&picture)?;
        assert_eq!((out.color(), out.width(), out.height()), (picture.color(), 7, 5));
        if picture.color().has_alpha() {
            assert_eq!(
                out.to_rgba16().pixels().map(|p| p.0[3]).collect::<Vec<_>>(),
                picture.to_rgba16().pixels().map(|p| p.0[3]).collect::<Vec<_>>()
            );
        }
        if picture.color().has_color() {
            for (got, expected) in out.to_rgb8().pixels().zip(expected.pixels()) {
                assert!(got.0.iter().zip(expected.0).all(|(&a, b)| a.abs_diff(b) <= 1), "{:?}", picture.color());
            }
        }
    }
    Ok(())
}

#[test]
fn one_pixel_one_row_and_one_column_work() -> Result<()> {
    let derainer = tiny_derainer()?;
    for (width, height) in [(1, 1), (1, 9), (9, 1), (2, 3), (17, 16)] {
        let picture = RgbImage::from_fn(width, height, |x, y| Rgb([(x * 9) as u8, (y * 9) as u8, 128]));
        let out = derainer.derain(&picture)?;
        assert_eq!(out.image.dimensions(), (width, height));
        assert_eq!(out.attention.expect("a map").dimensions(), (width, height));
    }
    Ok(())
}

/// With blue-green-red weights, swapping the planes on the way in and out must give what swapped weights give.
#[test]
fn channel_order_is_the_networks_affair() -> Result<()> {
    let rgb = variants()[0].1.clone();
    let bgr = SpaNetConfig { channel_order: ChannelOrder::Bgr, ..rgb.clone() };
    let mut tensors = rgb.initial_weights(4)?;
    let of = |config, tensors: &BTreeMap<_, _>| {
        let file = WeightFile::parse(&weight_file(config, tensors)?)?;
        Derainer::from_weight_file(Network::SpaNet, &file, &Device::Cpu)
    };
    let picture = RgbImage::from_fn(6, 4, |x, y| Rgb([(x * 40) as u8, (y * 60) as u8, 200]));
    let expected = of(&rgb, &tensors)?.derain(&picture)?.image;
    for (name, axis) in [("conv_in.0.weight", 1), ("conv_out.0.weight", 0)] {
        let flipped = tensors[name].flip(&[axis])?;
        tensors.insert(name.to_owned(), flipped);
    }
    assert_eq!(of(&bgr, &tensors)?.derain(&picture)?.image, expected);
    Ok(())
}

#[test]
fn bad_pictures_and_too_little_memory_are_refused() -> Result<()> {
    let derainer = tiny_derainer()?;
    let empty = derainer.derain(&RgbImage::new(0, 3));
    assert!(matches!(empty, Err(Error::EmptyPicture { width: 0, height: 3 })), "{empty:?}");
    let limited = derainer.clone().with_max_memory(Some(1)).derain(&RgbImage::new(0, 3));
    assert!(matches!(limited, Err(Error::EmptyPicture { .. })), "{limited:?}");
    let mut float = DynamicImage::new_rgb32f(3, 2).into_rgb32f();
    float.get_pixel_mut(2, 1).0[1] = f32::NAN;
    let nan = derainer.derain_dynamic(&float.into());
    assert!(matches!(nan, Err(Error::NotFinite { x: 2, y: 1 })), "{nan:?}");
    let least = derainer.memory_needed_with_files(8, 8).min(derainer.memory_needed(8, 8));
    let refused = derainer.clone().with_max_memory(Some(least - 1)).derain(&RgbImage::new(8, 8));
    assert!(matches!(refused, Err(Error::Memory { limit, .. }) if limit == least - 1), "{refused:?}");
    derainer.with_max_memory(Some(least)).derain(&RgbImage::new(8, 8))?;
    Ok(())
}

#[test]
fn a_file_is_not_blamed_for_the_precision() {
    let half = Placement::new(&Device::Cpu, Precision::F16);
    let error = Derainer::from_weights(Network::SpaNet, "/no/such/file", half).err();
    assert!(matches!(error, Some(Error::Precision { .. })), "{error:?}");
}

#[test]
fn a_derainer_and_its_result_print_without_weights_and_pixels() -> Result<()> {
    let derainer = tiny_derainer()?;
    let out = derainer.derain_dynamic_with_attention(&DynamicImage::new_rgb8(64, 48))?;
    let derained = derainer.derain(&RgbImage::new(64, 48))?;
    for text in [format!("{derainer:?}"), format!("{out:?}"), format!("{derained:?}")] {
        assert!(text.len() < 500, "{text}");
    }
    Ok(())
}

#[test]
fn a_derainer_is_shared_between_threads() {
    fn needs<T: Send + Sync>() {}
    needs::<Derainer>();
}

#[test]
fn grey_and_its_alpha_are_not_mixed_up() -> Result<()> {
    let derainer = tiny_derainer()?;
    let grey = GrayImage::from_fn(5, 4, |x, y| Luma([(x * 50 + y) as u8]));
    let with_alpha = GrayAlphaImage::from_fn(5, 4, |x, y| LumaA([grey.get_pixel(x, y).0[0], (x + y) as u8]));
    let plain = derainer.derain_dynamic(&grey.into())?.into_luma8();
    let out = derainer.derain_dynamic(&with_alpha.clone().into())?.into_luma_alpha8();
    for ((plain, out), before) in plain.pixels().zip(out.pixels()).zip(with_alpha.pixels()) {
        assert_eq!(out.0, [plain.0[0], before.0[1]]);
    }
    Ok(())
}
