use candle_core::{DType, Device, Tensor};
use image::{DynamicImage, Rgb, RgbImage};

use super::super::{RraNetConfig, RraNetOutput, initial_weight_file, weight_file};
use super::{Expected, tiny};
use crate::weights::WeightFile;
use crate::{Derainer, Error, Network, Result};

/// A derainer with the fixture's weights.
pub(in super::super) fn derainer() -> Result<Derainer> {
    let tensors = Expected::tiny()?.parameters()?.into_iter().collect();
    let file = WeightFile::parse(&weight_file(&tiny(), &tensors)?)?;
    Derainer::from_weight_file(Network::RraNet, &file, &Device::Cpu)
}

pub(in super::super) fn colourful(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| Rgb([(x * 37 + y * 3) as u8, (y * 50) as u8, (x * y * 7) as u8]))
}

#[test]
fn a_derainer_gives_what_the_network_gives() -> Result<()> {
    let derainer = derainer()?;
    assert_eq!(derainer.network(), Network::RraNet);
    let rainy = colourful(21, 13);
    let values = rainy.as_raw().iter().map(|&value| f32::from(value) / 255.0).collect();
    let tensor = Tensor::from_vec(values, (1, 13, 21, 3), &Device::Cpu)?.permute((0, 3, 1, 2))?.contiguous()?;
    let RraNetOutput { clean, attention } = Expected::tiny()?.network(&tiny())?.forward(&tensor)?;
    let bytes = |tensor: &Tensor| -> Result<Vec<u8>> {
        let bytes = tensor.clamp(0f32, 1f32)?.affine(255.0, 0.0)?.round()?.to_dtype(DType::U8)?;
        Ok(bytes.permute((0, 2, 3, 1))?.flatten_all()?.to_vec1()?)
    };
    let close = |a: &[u8], b: &[u8]| a.len() == b.len() && a.iter().zip(b).all(|(a, &b)| a.abs_diff(b) <= 1);
    let out = derainer.derain_dynamic_with_attention(&DynamicImage::ImageRgb8(rainy))?;
    assert!(close(out.image.as_bytes(), &bytes(&clean)?));
    let maps: Vec<_> = out.coarse_attention.iter().chain(&out.attention).collect();
    assert_eq!(maps.len(), 3);
    for ((map, expected), (width, height)) in maps.into_iter().zip(&attention).zip([(6, 4), (11, 7), (21, 13)]) {
        assert_eq!(map.dimensions(), (width, height));
        assert!(close(map.as_raw(), &bytes(expected)?));
    }
    Ok(())
}

#[test]
fn one_pixel_one_row_and_one_column_work() -> Result<()> {
    let derainer = derainer()?;
    for (width, height) in [(1, 1), (1, 9), (9, 1), (2, 3), (17, 16)] {
        let out = derainer.derain(&colourful(width, height))?;
        assert_eq!(out.image.dimensions(), (width, height));
        assert_eq!(out.attention.expect("a map").dimensions(), (width, height));
    }
    let empty = derainer.derain(&RgbImage::new(0, 3));
    assert!(matches!(empty, Err(Error::EmptyPicture { width: 0, height: 3 })), "{empty:?}");
    Ok(())
}

#[test]
fn too_little_memory_is_refused_by_the_bytes_needed() -> Result<()> {
    let derainer = derainer()?;
    let needed = derainer.memory_needed(40, 40);
    let refused = derainer.clone().with_max_memory(Some(needed - 1)).derain(&colourful(40, 40));
    assert!(matches!(refused, Err(Error::Memory { needed: said, .. }) if said == needed), "{refused:?}");
    derainer.with_max_memory(Some(needed)).derain(&colourful(40, 40))?;
    Ok(())
}

#[test]
fn a_file_that_does_not_say_how_many_stages_is_run_as_told() -> Result<()> {
    let config = RraNetConfig { stages: 1, ..tiny() };
    let file = WeightFile::parse(&initial_weight_file(&config, 5)?)?;
    let bare = WeightFile { metadata: Default::default(), ..file.clone() };
    let rainy = colourful(16, 16);
    let told = Derainer::from_rranet_file(&config, &bare, &Device::Cpu)?.derain(&rainy)?;
    assert_eq!(told.image, Derainer::from_weight_file(Network::RraNet, &file, &Device::Cpu)?.derain(&rainy)?.image);
    let other = Derainer::from_weight_file(Network::SpaNet, &file, &Device::Cpu);
    assert!(
        matches!(other, Err(Error::Weights { network: "spanet", problems }) if problems == "they are those of rranet")
    );
    Ok(())
}
