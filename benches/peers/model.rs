//! SPANet for inference and for training, RRANet for inference, and the calls that are timed.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use candle_core::{DType, Tensor, Var, safetensors};
use candle_nn::VarBuilder;
use derain::models::spanet::{DirectionWeights, recognize};
use derain::models::weights::WeightFile;
use derain::models::{SpaNet, SpaNetConfig};
use derain::train::{attention_loss, l1};
use derain::{Derainer, Device, Network};
use image::{DynamicImage, Rgb32FImage};
use serde::Deserialize;

/// How long a call took.
pub(crate) type Seconds = f64;

/// Whether the direction weights multiply the scans (the paper's form) or are left out (the release's).
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Form {
    Paper,
    Release,
}

/// One network, ready to infer and perhaps to train.
pub(crate) struct Model {
    derainer: Derainer,
    training: Option<Training>,
}

/// A network whose parameters are variables.
struct Training {
    network: SpaNet,
    variables: BTreeMap<String, Var>,
}

impl Model {
    /// The weights of an RRANet.
    pub(crate) fn load_rranet(weights: &Path) -> Result<Self> {
        Ok(Self { derainer: Derainer::from_weights(Network::RraNet, weights, &Device::Cpu)?, training: None })
    }

    /// The weights of a SPANet, run in the given form.
    pub(crate) fn load(weights: &Path, form: Form) -> Result<(SpaNetConfig, Self)> {
        let file = WeightFile::open(weights)?;
        let mut config = recognize(&file)?;
        config.direction_weights = match (form, config.direction_weights) {
            (Form::Paper, _) => DirectionWeights::Multiplied,
            (Form::Release, DirectionWeights::Absent) => DirectionWeights::Absent,
            (Form::Release, _) => DirectionWeights::Ignored,
        };
        let derainer = Derainer::from_spanet_file(&config, &file, &Device::Cpu)?;
        let variables = file
            .tensors
            .iter()
            .map(|(name, tensor)| Ok((name.clone(), Var::from_tensor(&tensor.to_candle(DType::F32, &Device::Cpu)?)?)));
        let variables = variables.collect::<Result<BTreeMap<_, _>>>()?;
        let tensors = variables.iter().map(|(name, var)| (name.clone(), var.as_tensor().clone())).collect();
        let network = SpaNet::new(&config, VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu))?;
        Ok((config, Self { derainer, training: Some(Training { network, variables }) }))
    }

    /// From a float picture to the picture without rain and the attention map, as any user of the library calls it: the
    /// time holds the conversions from and to pixels.
    pub(crate) fn infer(&self, input: &Path, output: Option<&Path>) -> Result<Seconds> {
        let planes = tensor(&safetensors::load(input, &Device::Cpu)?, "picture")?;
        let (_, _, height, width) = planes.dims4()?;
        let pixels = planes.squeeze(0)?.permute((1, 2, 0))?.flatten_all()?.to_vec1::<f32>()?;
        let picture =
            Rgb32FImage::from_raw(width as u32, height as u32, pixels).context("picture: not [1, 3, H, W]")?;
        let picture = DynamicImage::ImageRgb32F(picture);

        let start = Instant::now();
        let derained = self.derainer.derain_dynamic_with_attention(&picture)?;
        let seconds = start.elapsed().as_secs_f64();

        let Some(output) = output else { return Ok(seconds) };
        let clean = Tensor::from_vec(derained.image.into_rgb32f().into_raw(), (height, width, 3), &Device::Cpu)?;
        let mut tensors = HashMap::from([("clean".to_owned(), clean)]);
        if let Some(map) = derained.attention {
            tensors.insert("attention".into(), Tensor::from_vec(map.into_raw(), (height, width), &Device::Cpu)?);
        }
        safetensors::save(&tensors, output)?;
        Ok(seconds)
    }

    /// Forward pass, loss and backward pass; no optimizer. The time holds the release of the graph, as that of PyTorch
    /// does.
    pub(crate) fn step(&self, input: &Path, output: Option<&Path>) -> Result<Seconds> {
        let Training { network, variables } = self.training.as_ref().context("this network is not trained here")?;
        let batch = safetensors::load(input, &Device::Cpu)?;
        let [rainy, clean, mask] = [tensor(&batch, "rainy")?, tensor(&batch, "clean")?, tensor(&batch, "mask")?];

        let start = Instant::now();
        let result = network.forward(&rainy)?;
        let map = result.attention.context("the network has no attention map")?;
        let loss = (l1(&result.clean, &clean)? + attention_loss(&map, &mask)?)?;
        let gradients = loss.backward()?;
        let results = [("clean", result.clean.detach()), ("attention", map.detach()), ("loss", loss.detach())];
        drop((result.clean, map, loss));
        let seconds = start.elapsed().as_secs_f64();

        let Some(output) = output else { return Ok(seconds) };
        let mut tensors: HashMap<String, Tensor> = results.map(|(name, tensor)| (name.to_owned(), tensor)).into();
        for (name, var) in variables {
            if let Some(gradient) = gradients.get(var) {
                tensors.insert(format!("gradient.{name}"), gradient.contiguous()?);
            }
        }
        safetensors::save(&tensors, output)?;
        Ok(seconds)
    }
}

fn tensor(tensors: &HashMap<String, Tensor>, name: &str) -> Result<Tensor> {
    tensors.get(name).cloned().with_context(|| format!("the input holds no tensor `{name}`"))
}
