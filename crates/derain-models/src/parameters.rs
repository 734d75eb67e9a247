//! A network's parameters as its own constructor asks for them: the one list of names, shapes and initial values.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{DType, Device, Shape, Tensor};
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Init, VarBuilder};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

use crate::weights::WeightFile;
use crate::{Error, Result};

/// Tensors by parameter name.
pub(crate) type Parameters = BTreeMap<String, Tensor>;

/// The parameters that `build` asks for, with initial values drawn from `seed` in the order in which it asks.
///
/// candle's own CPU generator cannot be seeded, hence the generator here.
pub(crate) fn initial<N>(seed: u64, build: impl FnOnce(VarBuilder<'_>) -> Result<N>) -> Result<Parameters> {
    let drawn = Initializer(Arc::new(Mutex::new((Pcg64Mcg::seed_from_u64(seed), Parameters::new()))));
    build(VarBuilder::from_backend(Box::new(drawn.clone()), DType::F32, Device::Cpu))?;
    let mut state = drawn.0.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(std::mem::take(&mut state.1))
}

/// The file's tensors as the network's parameters: exactly the expected names and shapes, else an error that lists what differs.
pub(crate) fn check(
    network: &'static str,
    expected: &Parameters,
    file: &WeightFile,
    device: &Device,
) -> Result<Parameters> {
    let names = |names: Vec<String>| {
        let count = names.len();
        let listed = names.into_iter().take(8).collect::<Vec<_>>().join(", ");
        if count > 8 { format!("{listed} and {} more", count - 8) } else { listed }
    };
    let missing = expected.keys().filter(|name| !file.tensors.contains_key(*name)).cloned().collect::<Vec<_>>();
    let unexpected = file.tensors.keys().filter(|name| !expected.contains_key(*name)).cloned().collect::<Vec<_>>();
    let reshaped = expected.iter().filter_map(|(name, tensor)| {
        let found = &file.tensors.get(name)?.shape;
        (tensor.dims() != found).then(|| format!("{name} {found:?} instead of {:?}", tensor.dims()))
    });
    let problems: Vec<String> =
        [("missing", missing), ("not known", unexpected), ("of another shape", reshaped.collect::<Vec<_>>())]
            .into_iter()
            .filter(|(_, found)| !found.is_empty())
            .map(|(what, found)| format!("{what}: {}", names(found)))
            .collect();
    if !problems.is_empty() {
        return Err(Error::Weights { network, problems: problems.join("; ") });
    }
    let tensors = file.tensors.iter().map(|(name, tensor)| Ok((name.clone(), tensor.to_candle(DType::F32, device)?)));
    tensors.collect()
}

/// A builder that hands out these tensors, as `dtype`.
pub(crate) fn builder(parameters: Parameters, dtype: DType, device: &Device) -> VarBuilder<'static> {
    VarBuilder::from_tensors(parameters.into_iter().collect::<HashMap<_, _>>(), dtype, device)
}

/// Answers every request for a parameter with fresh initial values and remembers them.
#[derive(Clone)]
struct Initializer(Arc<Mutex<(Pcg64Mcg, Parameters)>>);

impl SimpleBackend for Initializer {
    fn get(&self, shape: Shape, name: &str, init: Init, dtype: DType, device: &Device) -> candle_core::Result<Tensor> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (rng, drawn) = &mut *state;
        let values: Vec<f32> = match init {
            Init::Const(value) => vec![value as f32; shape.elem_count()],
            Init::Uniform { lo, up } => (0..shape.elem_count()).map(|_| rng.random_range(lo..up) as f32).collect(),
            other => candle_core::bail!("parameter {name} asks for initial values {other:?}, which are not drawn here"),
        };
        let tensor = Tensor::from_vec(values, shape, device)?.to_dtype(dtype)?;
        drawn.insert(name.to_owned(), tensor.clone());
        Ok(tensor)
    }

    fn get_unchecked(&self, name: &str, _dtype: DType, _device: &Device) -> candle_core::Result<Tensor> {
        candle_core::bail!("parameter {name} is asked for without a shape")
    }

    fn contains_tensor(&self, _name: &str) -> bool {
        true
    }
}
