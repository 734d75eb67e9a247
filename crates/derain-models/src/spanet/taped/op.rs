//! The network as a candle operation.

use std::any::Any;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp2, DType, Layout, Result, Shape, Tensor};
use derain_ops::pixels::{Pixels, Pool};
use derain_ops::storage::{elements, with_elements};
use derain_ops::{Element, Isa, Planes};

use super::super::Layer;
use super::Pools;
use super::attention::{self, Module, Transposed};
use super::block;
use super::parameters::NetworkAt;
use super::run::{Run, add, plain, relu};

/// Colour channels.
const COLOURS: usize = 3;

/// Inputs pictures `[B, 3, H, W]` and all parameters as one list; the result is the clean picture and, where there is
/// attention, the first map behind it, `[B, 4, H, W]`.
pub(super) struct SpaNetOp {
    network: NetworkAt,
    pools: Arc<Pools>,
    keeps: bool,
    /// What the forward pass leaves for the gradient: the operation is made for one call and lives as long as its place
    /// in the graph.
    tape: Mutex<Option<Arc<dyn Any + Send + Sync>>>,
}

impl SpaNetOp {
    /// `keeps` says that a gradient will be asked for.
    pub(super) fn new(network: NetworkAt, pools: Arc<Pools>, keeps: bool) -> Self {
        Self { network, pools, keeps, tape: Mutex::new(None) }
    }
}

impl CustomOp2 for SpaNetOp {
    fn name(&self) -> &'static str {
        "spanet"
    }

    fn cpu_fwd(&self, x: &CpuStorage, at_x: &Layout, p: &CpuStorage, at_p: &Layout) -> Result<(CpuStorage, Shape)> {
        match x.dtype() {
            DType::F64 => self.forward::<f64>(&self.pools.double, (x, at_x), (p, at_p)),
            _ => self.forward::<f32>(&self.pools.single, (x, at_x), (p, at_p)),
        }
    }

    fn bwd(&self, x: &Tensor, p: &Tensor, _: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        match x.dtype() {
            DType::F64 => self.backward::<f64>(&self.pools.double, x, p, grad),
            _ => self.backward::<f32>(&self.pools.single, x, p, grad),
        }
    }
}

/// What the forward pass leaves.
struct Tape<E: Element> {
    modules: Vec<Module<E>>,
    layers: Vec<Taped<E>>,
}

/// What a layer leaves: features are its result, of which the next layer reads.
enum Taped<E: Element> {
    ConvIn { picture: Pixels<E>, features: Pixels<E> },
    Attend { map: Pixels<E>, saved: Box<attention::Saved<E>> },
    Block { features: Pixels<E>, saved: block::Saved<E> },
}

impl<E: Element> Taped<E> {
    fn features(&self) -> Option<&Pixels<E>> {
        match self {
            Self::ConvIn { features, .. } | Self::Block { features, .. } => Some(features),
            Self::Attend { .. } => None,
        }
    }

    fn map(&self) -> Option<&Pixels<E>> {
        if let Self::Attend { map, .. } = self { Some(map) } else { None }
    }
}

/// The latest features before a layer.
fn features<E: Element>(before: &[Taped<E>]) -> Result<&Pixels<E>> {
    let found = before.iter().rev().find_map(Taped::features);
    found.ok_or_else(|| candle_core::Error::Msg("spanet: no features".into()))
}

/// The latest map before a layer, if it asks for one.
fn map<E: Element>(before: &[Taped<E>], attentive: bool) -> Option<&Pixels<E>> {
    before.iter().rev().find_map(Taped::map).filter(|_| attentive)
}

type Input<'a> = (&'a CpuStorage, &'a Layout);

impl SpaNetOp {
    fn outputs(&self) -> usize {
        COLOURS + usize::from(self.network.has_attention())
    }

    fn forward<E: Element>(
        &self,
        pool: &Arc<Pool<E>>,
        x: Input<'_>,
        parameters: Input<'_>,
    ) -> Result<(CpuStorage, Shape)> {
        let network = &self.network;
        let shape = Planes::from(x.1.shape().dims4()?);
        let run = Run { isa: Isa::current(), pool, parameters: elements(parameters.0, parameters.1)?, shape };
        let modules = network.attention.iter().map(|at| Module::new(&run, at)).collect::<derain_ops::Result<_>>()?;
        let mut tape = Tape { modules, layers: Vec::new() };
        let pixels = shape.pixels();
        let stride = self.outputs() * pixels;
        let mut out = vec![E::ZERO; shape.batch * stride];
        let mut has_map = false;
        for layer in &network.layers {
            let before = &tape.layers;
            let taped = match *layer {
                Layer::ConvIn => {
                    let picture = Pixels::from_planes(pool, run.isa, elements(x.0, x.1)?, shape, COLOURS * pixels);
                    let features = run.convolve(&run.convolution(&network.conv_in, 1)?, &[&picture], &relu());
                    Taped::ConvIn { picture, features }
                }
                Layer::Attend(module) => {
                    let (map, saved) = tape.modules[module].forward(&run, features(before)?);
                    if !has_map {
                        let maps = out.chunks_mut(stride).zip(map.values().chunks(pixels));
                        maps.for_each(|(out, map)| out[COLOURS * pixels..].copy_from_slice(map));
                        has_map = true;
                    }
                    Taped::Attend { map, saved: Box::new(saved) }
                }
                Layer::Block { index, attentive } => {
                    let map = map(before, attentive);
                    let (features, saved) = block::forward(&run, &network.blocks[index], features(before)?, map)?;
                    Taped::Block { features, saved }
                }
                Layer::ConvOut => {
                    let convolution = run.convolution(&network.conv_out, 1)?;
                    let clean = run.convolve(&convolution, &[features(before)?], &plain());
                    clean.write_planes(run.isa, COLOURS, &mut out, stride);
                    continue;
                }
            };
            if !self.keeps {
                // Only the latest features and the latest map are read again.
                let is_map = taped.map().is_some();
                tape.layers.retain(|layer| layer.map().is_some() != is_map);
            }
            tape.layers.push(taped);
        }
        if self.keeps {
            *self.tape.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(tape));
        }
        let shape = (shape.batch, self.outputs(), shape.height, shape.width);
        Ok((E::to_cpu_storage_owned(out), shape.into()))
    }

    fn backward<E: Element>(
        &self,
        pool: &Arc<Pool<E>>,
        x: &Tensor,
        parameters: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        // The tape's lock is not held meanwhile: rayon may hand this thread another gradient of the same graph while it
        // waits.
        let tape = self.tape.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(tape) = tape.as_ref().and_then(|tape| tape.downcast_ref::<Tape<E>>()) else {
            candle_core::bail!("spanet: a gradient without a forward pass that keeps what it needs");
        };
        let shape = Planes::from(x.dims4()?);
        let isa = Isa::current();
        let (of_picture, of_parameters) = with_elements([parameters, grad], |[parameters, grad]: [&[E]; 2]| {
            self.gradients(&Run { isa, pool, parameters, shape }, tape, grad, x.track_op())
        })??;
        let of_picture = of_picture.map(|of_picture| {
            let mut planes = vec![E::ZERO; shape.len()];
            of_picture.write_planes(isa, COLOURS, &mut planes, COLOURS * shape.pixels());
            Tensor::from_vec(planes, x.shape(), x.device())
        });
        Ok((of_picture.transpose()?, Some(Tensor::from_vec(of_parameters, parameters.shape(), x.device())?)))
    }

    /// The gradients of the pictures, if wanted, and of all parameters.
    fn gradients<E: Element>(
        &self,
        run: &Run<'_, E>,
        tape: &Tape<E>,
        grad: &[E],
        wants_picture: bool,
    ) -> Result<(Option<Pixels<E>>, Vec<E>)> {
        let network = &self.network;
        let Tape { modules, layers } = tape;
        let (pixels, stride) = (run.shape.pixels(), self.outputs() * run.shape.pixels());
        let transposed =
            network.attention.iter().map(|at| Transposed::new(run, at)).collect::<derain_ops::Result<Vec<_>>>()?;
        let mut gradients = vec![E::ZERO; run.parameters.len()];
        let mut of_map = run.exact_pixels(1);
        of_map.values_mut().fill(E::ZERO);

        let of_clean = Pixels::from_planes(run.pool, run.isa, grad, run.shape, stride);
        run.add_weight_gradient(&network.conv_out, features(layers)?, &of_clean, &mut gradients);
        let mut of_features = run.convolve(&run.transposed(&network.conv_out)?, &[&of_clean], &plain());
        drop(of_clean);
        for (at, (taped, layer)) in layers.iter().zip(&network.layers).enumerate().rev() {
            let before = &layers[..at];
            match (taped, *layer) {
                (Taped::Block { features: y, saved }, Layer::Block { index, attentive }) => {
                    let map = map(before, attentive).map(|map| (map, &mut of_map));
                    let block = &network.blocks[index];
                    let ends = (features(before)?, y);
                    of_features = block::backward(run, block, ends, saved, of_features, map, &mut gradients)?;
                }
                (Taped::Attend { map, saved }, Layer::Attend(module)) => {
                    if before.iter().all(|layer| layer.map().is_none()) {
                        // The result's map is the first.
                        let maps = of_map.values_mut().chunks_mut(pixels).zip(grad.chunks(stride));
                        maps.for_each(|(of_map, grad)| add(of_map, &grad[COLOURS * pixels..]));
                    }
                    let module = (&network.attention[module], &modules[module], &transposed[module]);
                    let ends = (features(before)?, map);
                    of_features = attention::backward(run, module, ends, saved, &of_map, of_features, &mut gradients);
                    of_map.values_mut().fill(E::ZERO);
                }
                (Taped::ConvIn { picture, features }, Layer::ConvIn) => {
                    of_features.keep_where_positive(run.isa, features);
                    run.add_weight_gradient(&network.conv_in, picture, &of_features, &mut gradients);
                    if wants_picture {
                        let back = run.transposed(&network.conv_in)?;
                        return Ok((Some(run.convolve(&back, &[&of_features], &plain())), gradients));
                    }
                }
                _ => candle_core::bail!("spanet: the tape is another network's"),
            }
        }
        Ok((None, gradients))
    }
}
