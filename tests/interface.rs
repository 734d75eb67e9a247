//! The calls that the README shows and other projects rely on, as they would write them.

use candle_core::{Device as CandleDevice, Tensor};
use derain::models::SpaNetConfig;
use derain::models::spanet::initial_weight_file;
use derain::{Derainer, Device, Network};
use image::{DynamicImage, RgbImage};
use ndarray::Array3;

#[test]
fn a_picture_goes_in_and_comes_out() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("spanet.safetensors");
    let tiny = SpaNetConfig { channels: 4, ..SpaNetConfig::paper() };
    derain::data::write_durably(&path, &initial_weight_file(&tiny, 1)?)?;

    let derainer = Derainer::from_weights(Network::SpaNet, &path, &Device::Cpu)?;
    let rainy = RgbImage::from_fn(20, 12, |x, y| image::Rgb([(12 * x) as u8, (20 * y) as u8, 99]));
    let out = derainer.derain(&rainy)?;
    let image: RgbImage = out.image;
    let attention: Option<image::GrayImage> = out.attention;
    assert_eq!((image.dimensions(), out.bands), ((20, 12), 1));
    assert_eq!(attention.ok_or("the network has attention")?.dimensions(), (20, 12));

    let picture = DynamicImage::ImageRgb8(rainy).into_rgba16();
    let out: DynamicImage = derainer.derain_dynamic(&picture.clone().into())?;
    assert_eq!(out.color(), image::ColorType::Rgba16);

    let saved = folder.path().join("clean.png");
    let loaded = derain::data::Picture::from(DynamicImage::ImageRgba16(picture));
    derain::data::save_picture(&saved, &loaded.with_image(out.clone()))?;
    assert_eq!(derain::data::load_picture(&saved)?.image, out);
    Ok(())
}

#[test]
fn operations_take_and_give_the_documented_shapes() -> Result<(), Box<dyn std::error::Error>> {
    let device = &CandleDevice::Cpu;
    let x = Tensor::rand(0f32, 1f32, (2, 3, 5, 6), device)?;
    let weights = Tensor::full(0.2f32, (4, 3), device)?;
    let biases = Tensor::zeros((4, 3), candle_core::DType::F32, device)?;
    let directions = Tensor::ones((2, 4, 5, 6), candle_core::DType::F32, device)?;
    let h = derain::ops::irnn(&x, &weights, &biases)?;
    assert_eq!(h.dims(), [2, 12, 5, 6]);
    let weighted = derain::ops::irnn_directional(&x, &weights, &biases, &directions)?;
    assert_eq!(h.flatten_all()?.to_vec1::<f32>()?, weighted.flatten_all()?.to_vec1::<f32>()?);
    let l = derain::ops::rlcn(&x, &derain::ops::RlcnOptions::default())?;
    assert_eq!(l.dims(), x.dims());
    assert!(l.flatten_all()?.to_vec1::<f32>()?.iter().all(|&l| l >= 0.0));
    Ok(())
}

#[test]
fn scores_take_views() -> Result<(), Box<dyn std::error::Error>> {
    let a = Array3::from_shape_fn((16, 20, 3), |(y, x, c)| ((3 * y + 5 * x + 7 * c) % 17) as f64 / 17.0);
    let b = &a * 0.9;
    let db = derain::metrics::psnr(&a, &b, 1.0)?;
    assert!(db > 20.0 && db < 40.0, "{db}");
    assert_eq!(derain::metrics::psnr(&a.view(), &a.view(), 1.0)?, f64::INFINITY);
    let s = derain::metrics::Ssim::default().score(&a, &b)?;
    assert!(s > 0.9 && s < 1.0, "{s}");
    assert_eq!(derain::metrics::Ssim::default().score(&a, &a)?, 1.0);
    Ok(())
}
