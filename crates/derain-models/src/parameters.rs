//! A network's parameters as its own constructor asks for them: the one list of names, shapes and initial values.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use candle_core::{DType, Device, Shape, Tensor};
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Init, VarBuilder};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

use crate::weights::{WeightFile, WeightTensor, printable};
use crate::{Error, Result};

/// Tensors by parameter name.
pub(crate) type Parameters = BTreeMap<String, Tensor>;
/// Shapes by parameter name.
pub(crate) type Shapes = BTreeMap<String, Vec<usize>>;

/// The parameters that `build` asks for, with initial values drawn from `seed` in the order in which it asks.
///
/// candle's own CPU generator cannot be seeded, hence the generator here.
pub(crate) fn initial<N>(seed: u64, build: impl FnOnce(VarBuilder<'_>) -> Result<N>) -> Result<Parameters> {
    let state = Mutex::new((Pcg64Mcg::seed_from_u64(seed), Parameters::new()));
    let draw = |shape: Shape, name: &str, init: Init| {
        let (rng, drawn) = &mut *state.lock().unwrap_or_else(PoisonError::into_inner);
        let count = shape.elem_count();
        let values: Vec<f32> = match init {
            Init::Const(value) => vec![value as f32; count],
            Init::Uniform { lo, up } => (0..count).map(|_| rng.random_range(lo..up) as f32).collect(),
            Init::Randn { mean, stdev } => (0..count).map(|_| (mean + stdev * normal(rng)) as f32).collect(),
            other => candle_core::bail!("parameter {name} asks for initial values {other:?}, which are not drawn here"),
        };
        let tensor = Tensor::from_vec(values, shape, &Device::Cpu)?;
        drawn.insert(name.to_owned(), tensor.clone());
        Ok(tensor)
    };
    build(VarBuilder::from_backend(Box::new(Answers(draw)), DType::F32, Device::Cpu))?;
    let (_, drawn) = state.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(drawn)
}

/// A draw from N(0, 1), by Box and Muller's transform; its twin is left, so that every draw takes the same from the
/// generator.
fn normal(rng: &mut Pcg64Mcg) -> f64 {
    // From above 0, whose logarithm is finite, to 1.
    let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.random::<f64>()).cos()
}

/// The names and shapes of the parameters that `build` asks for. Each is answered with a view of a single zero: a
/// hostile configuration costs nothing.
pub(crate) fn shapes<N>(build: impl FnOnce(VarBuilder<'_>) -> Result<N>) -> Result<Shapes> {
    let asked = Mutex::new(Shapes::new());
    let note = |shape: Shape, name: &str, _init: Init| {
        let mut asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.insert(name.to_owned(), shape.dims().to_vec());
        Tensor::zeros(1, DType::F32, &Device::Cpu)?.broadcast_as(shape)
    };
    build(VarBuilder::from_backend(Box::new(Answers(note)), DType::F32, Device::Cpu))?;
    Ok(asked.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// Whether a tensor is the count of training batches that PyTorch's batch norms keep beside their running statistics,
/// and nothing reads.
fn is_batch_count(expected: &Shapes, name: &str, tensor: &WeightTensor) -> bool {
    let norm = name.strip_suffix("num_batches_tracked");
    let of_norm = norm.is_some_and(|norm| expected.contains_key(&format!("{norm}running_mean")));
    of_norm && tensor.dtype.is_integer() && tensor.element_count() == 1
}

/// The file's tensors as the network's parameters: exactly the expected names and shapes, all values finite, else an
/// error that lists what differs. Counts of batches beside running statistics are left out.
pub(crate) fn check(
    network: &'static str,
    expected: &Shapes,
    file: &WeightFile,
    device: &Device,
) -> Result<Parameters> {
    let missing = expected.keys().filter(|name| !file.tensors.contains_key(*name)).map(|name| printable(name));
    let unexpected = (file.tensors.iter())
        .filter(|(name, tensor)| !expected.contains_key(*name) && !is_batch_count(expected, name, tensor))
        .map(|(name, _)| printable(name));
    let reshaped = expected.iter().filter_map(|(name, shape)| {
        let found = &file.tensors.get(name)?.shape;
        (shape != found).then(|| format!("{} {found:?} instead of {shape:?}", printable(name)))
    });
    let problems: Vec<String> =
        [("missing", listed(missing)), ("not known", listed(unexpected)), ("of another shape", listed(reshaped))]
            .into_iter()
            .filter_map(|(what, found)| Some(format!("{what}: {}", found?)))
            .collect();
    if !problems.is_empty() {
        return Err(Error::Weights { network, problems: problems.join("; ") });
    }
    let mut parameters = Parameters::new();
    for (name, tensor) in file.tensors.iter().filter(|(name, _)| expected.contains_key(*name)) {
        let values = tensor.to_candle(DType::F32, &Device::Cpu)?;
        // 0 times infinity is NaN, as is 0 times NaN.
        if (&values * 0.0)?.sum_all()?.to_scalar::<f32>()?.is_nan() {
            return Err(Error::NotFiniteWeights { name: printable(name) });
        }
        parameters.insert(name.clone(), values.to_device(device)?);
    }
    Ok(parameters)
}

/// The first few of some names; none of nothing.
fn listed(names: impl Iterator<Item = String>) -> Option<String> {
    const MOST: usize = 8;
    let mut names: Vec<String> = names.collect();
    let more = names.len().saturating_sub(MOST);
    names.truncate(MOST);
    let list = names.join(", ");
    match (names.is_empty(), more) {
        (true, _) => None,
        (false, 0) => Some(list),
        (false, more) => Some(format!("{list} and {more} more")),
    }
}

/// A builder that hands out these tensors, as `dtype`.
pub(crate) fn builder(parameters: Parameters, dtype: DType, device: &Device) -> VarBuilder<'static> {
    VarBuilder::from_tensors(parameters.into_iter().collect::<HashMap<_, _>>(), dtype, device)
}

/// Answers every request for a parameter by a function of shape, name and initial distribution, on the CPU in f32.
struct Answers<F>(F);

impl<F> SimpleBackend for Answers<F>
where
    F: Fn(Shape, &str, Init) -> candle_core::Result<Tensor> + Send + Sync,
{
    fn get(&self, shape: Shape, name: &str, init: Init, _: DType, _: &Device) -> candle_core::Result<Tensor> {
        (self.0)(shape, name, init)
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> candle_core::Result<Tensor> {
        candle_core::bail!("parameter {name} is asked for without a shape")
    }

    fn contains_tensor(&self, _name: &str) -> bool {
        true
    }
}
