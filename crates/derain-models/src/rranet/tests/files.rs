use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};

use super::super::{
    RlcnPooling, RraNet, RraNetConfig, initial_weight_file, is_configured, recognize, set_configuration, weight_file,
};
use super::tiny;
use crate::spanet::SpaNetConfig;
use crate::weights::{ElementType, WeightFile};
use crate::{Error, Result, spanet};

#[test]
fn initial_weights_follow_their_seed_and_distribution() -> Result<()> {
    assert_eq!(initial_weight_file(&tiny(), 1)?, initial_weight_file(&tiny(), 1)?);
    assert_ne!(initial_weight_file(&tiny(), 1)?, initial_weight_file(&tiny(), 2)?);
    let config = RraNetConfig { widths: [16, 16, 16, 64], ..tiny() };
    let weights = config.initial_weights(3)?;
    let moments = |names: &dyn Fn(&str) -> bool| -> Result<(f64, f64, f64)> {
        let mut all = Vec::new();
        for (_, tensor) in weights.iter().filter(|(name, _)| names(name)) {
            all.extend(tensor.flatten_all()?.to_vec1::<f32>()?.into_iter().map(f64::from));
        }
        let mean = all.iter().sum::<f64>() / all.len() as f64;
        let deviation = (all.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / all.len() as f64).sqrt();
        let beyond = all.iter().filter(|value| (*value - mean).abs() > 2.0 * deviation).count();
        Ok((mean, deviation, beyond as f64 / all.len() as f64))
    };
    let (mean, deviation, beyond) = moments(&|name| name.contains("lstm") && name.ends_with(".weight"))?;
    assert!(mean.abs() < 1e-4 && (deviation - 0.02).abs() < 1e-4, "{mean} {deviation}");
    assert!((beyond - 0.0455).abs() < 2e-3, "{beyond} lie beyond two deviations");
    let (mean, deviation, _) = moments(&|name| name.ends_with(".1.weight"))?;
    assert!((mean - 1.0).abs() < 4e-3 && (deviation - 0.02).abs() < 4e-3, "{mean} {deviation}");
    assert_eq!(moments(&|name| name.ends_with(".bias") || name.ends_with("running_mean"))?, (0.0, 0.0, 0.0));
    assert_eq!(moments(&|name| name.ends_with("running_var"))?, (1.0, 0.0, 0.0));
    Ok(())
}

#[test]
fn files_remember_their_configuration() -> Result<()> {
    let config = RraNetConfig { stages: 2, rlcn_pooling: RlcnPooling::Average, norm_epsilon: 1e-3, ..tiny() };
    let file = WeightFile::parse(&initial_weight_file(&config, 3)?)?;
    assert_eq!(recognize(&file)?, config);
    assert_eq!(RraNet::from_file(&file, &Device::Cpu)?.config(), &config);
    // Without the note: widths are still right.
    let bare = WeightFile { metadata: BTreeMap::new(), ..file };
    assert_eq!(recognize(&bare)?, RraNetConfig { stages: 6, ..tiny() });
    RraNet::from_file(&bare, &Device::Cpu)?;
    RraNet::with_config(&config, &bare, &Device::Cpu)?;
    let mut told = bare.clone();
    assert!(!is_configured(&told));
    set_configuration(&mut told, &config)?;
    assert_eq!(recognize(&told)?, config);
    let refused = |metadata: &str| {
        let metadata = BTreeMap::from([("derain.rranet".to_owned(), metadata.to_owned())]);
        RraNet::from_file(&WeightFile { metadata, ..bare.clone() }, &Device::Cpu)
    };
    assert!(matches!(refused(r#"{"depth": 3}"#), Err(Error::Weights { network: "rranet", .. })));
    assert!(matches!(refused(r#"{"stages": 100000}"#), Err(Error::Config { option: "stages", .. })));
    let huge = r#"{"widths": [4096, 4096, 4096, 4096]}"#;
    assert!(matches!(refused(huge), Err(Error::Weights { .. })));
    Ok(())
}

/// As `torch.save(network.state_dict(), ...)` writes them: `nn.BatchNorm2d` counts its batches.
#[test]
fn counts_of_batches_are_left_out() -> Result<()> {
    let tensors = tiny().initial_weights(1)?;
    let count = Tensor::new(120_000i64, &Device::Cpu)?;
    let norms = tensors.keys().filter_map(|name| name.strip_suffix("running_mean"));
    let counts: Vec<_> = norms.map(|norm| (format!("{norm}num_batches_tracked"), count.clone())).collect();
    assert!(!counts.is_empty());
    let without = WeightFile::parse(&weight_file(&tiny(), &tensors)?)?;
    let file = WeightFile::parse(&weight_file(&tiny(), &tensors.into_iter().chain(counts).collect())?)?;
    RraNet::from_file(&file, &Device::Cpu)?;
    // A training that goes on from it keeps none.
    for (one, other, kept) in [(&file, &without, true), (&without, &file, false)] {
        let blend = WeightFile::parse(&one.blended(other, 0.5)?)?;
        let count = blend.tensors.get("encoder.0.conv1.1.num_batches_tracked");
        assert_eq!(count.map(|count| count.dtype), kept.then_some(ElementType::I64));
        RraNet::from_file(&blend, &Device::Cpu)?;
    }
    Ok(())
}

#[test]
fn foreign_weights_are_refused_by_name() -> Result<()> {
    let tensors = tiny().initial_weights(1)?;
    let refused = |change: &dyn Fn(&mut BTreeMap<String, Tensor>)| {
        let mut tensors = tensors.clone();
        change(&mut tensors);
        match weight_file(&tiny(), &tensors) {
            Err(Error::Weights { problems, .. }) => problems,
            other => panic!("{other:?}"),
        }
    };
    let zeros = Tensor::zeros((4, 4), DType::F32, &Device::Cpu)?;
    assert_eq!(refused(&|t| drop(t.remove("conv_in.bias"))), "missing: conv_in.bias");
    // A count of batches is one integer, and lies beside running statistics.
    let counted = "encoder.0.conv1.1.num_batches_tracked";
    assert_eq!(refused(&|t| drop(t.insert(counted.into(), zeros.clone()))), format!("not known: {counted}"));
    let (count, elsewhere) = (Tensor::new(7i64, &Device::Cpu)?, "conv_in.num_batches_tracked");
    assert_eq!(refused(&|t| drop(t.insert(elsewhere.into(), count.clone()))), format!("not known: {elsewhere}"));
    let reshaped = refused(&|t| drop(t.insert("decoder.0.gam.w_a.0.weight".into(), zeros.clone())));
    assert_eq!(reshaped, "of another shape: decoder.0.gam.w_a.0.weight [4, 4] instead of [1, 5, 1, 1]");

    let other =
        WeightFile::parse(&spanet::initial_weight_file(&SpaNetConfig { channels: 4, ..SpaNetConfig::paper() }, 1)?)?;
    let result = recognize(&other);
    assert!(matches!(&result, Err(Error::Weights { network: "rranet", .. })), "{result:?}");
    let own = WeightFile::parse(&weight_file(&tiny(), &tensors)?)?;
    assert!(matches!(spanet::recognize(&own), Err(Error::Weights { network: "spanet", .. })));
    Ok(())
}
