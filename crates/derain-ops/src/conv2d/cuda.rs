//! What follows a convolution's sum, on CUDA: grids, arguments and scratch of `kernels.cu`. Forward our own convolution
//! (`cuda/direct.rs`) does this itself, before it writes a sum; these kernels run behind cuDNN's sums, and in every
//! backward pass.
//!
//! What cannot be avoided once the sums are in memory is what the kernels move, in elements for each element of the
//! result (scales are one in O):
//!
//! | pass | reads | writes |
//! | --- | --- | --- |
//! | [`forward`], in place | the sums, the residual where there is one: 1 or 2 | 1 |
//! | [`backward`], unless nothing but a residual follows the sum | dy, and y for a ReLU: 1 or 2 | g for a ReLU, ds for a scale: 0 to 2 |
//! | [`scale_gradient`] | the sums and g: 2 | |

pub(super) mod direct;

use candle_core::DType;

use super::Activation;
use crate::cuda::{Arg, Grid, Launcher, Source, int};
use crate::{Planes, Result};

pub(crate) const SOURCE: Source = Source {
    name: "conv2d",
    text: concat!(
        include_str!("../cuda/planes.cu"),
        include_str!("../cuda/sums.cu"),
        include_str!("../cuda/pieces.cu"),
        include_str!("kernels.cu")
    ),
};

/// `y = activation((sum + bias) · scale + residual)`; what is null is not there.
pub(crate) struct Epilogue<'a, B> {
    pub(crate) dtype: DType,
    /// Of the result, `[B, O, H, W]`.
    pub(crate) planes: Planes,
    /// `[O]`.
    pub(crate) bias: Arg<'a, B>,
    /// `[B, 1, H, W]`.
    pub(crate) scale: Arg<'a, B>,
    /// `[B, O, H, W]`.
    pub(crate) residual: Arg<'a, B>,
    pub(crate) activation: Activation,
}

impl<'a, B> Epilogue<'a, B> {
    fn planes(&self) -> usize {
        self.planes.batch * self.planes.channels
    }

    fn has_bias(&self) -> bool {
        !matches!(self.bias, Arg::Null)
    }

    fn has_scale(&self) -> bool {
        !matches!(self.scale, Arg::Null)
    }

    fn has_relu(&self) -> bool {
        self.activation == Activation::Relu
    }

    /// O and H·W: offsets within a plane are ints.
    fn sizes(&self) -> Result<[Arg<'a, B>; 2]> {
        let (outputs, pixels) = (self.planes.channels, self.planes.pixels());
        Ok([Arg::Int(int(SOURCE.name, "O", outputs)?), Arg::Int(int(SOURCE.name, "H·W", pixels)?)])
    }
}

/// Makes results, in place, of a convolution's sums without bias.
///
/// # Safety
/// The buffers must hold what [`Epilogue`] says, and `sums` the result's elements; nothing else may use those
/// meanwhile.
pub(crate) unsafe fn forward<L: Launcher>(
    launcher: &L,
    epilogue: &Epilogue<'_, L::Buffer>,
    sums: &Arg<'_, L::Buffer>,
) -> Result<()> {
    let mut arguments = vec![sums.again(), epilogue.bias.again(), epilogue.scale.again(), epilogue.residual.again()];
    arguments.extend(epilogue.sizes()?);
    arguments.push(Arg::Int(epilogue.has_relu().into()));
    let grid = Grid::of_pieces(epilogue.planes(), epilogue.planes.pixels());
    // SAFETY: these are the kernel's parameters; each element of the result belongs to one thread of one piece, which
    // reads and writes it.
    unsafe { launcher.launch(&SOURCE, epilogue.dtype, "conv2d_epilogue", grid, &arguments) }
}

/// What [`backward`] gives.
pub(crate) struct Gradients<B> {
    /// g, `[B, O, H, W]`, which is also the residual's gradient. Without a ReLU it is the incoming gradient itself, and
    /// None here.
    pub(crate) residual: Option<B>,
    /// For the convolution's sums, `[B, O, H, W]`: what its own backward starts from. Without a scale it is g, and None
    /// here.
    pub(crate) sums: Option<B>,
    /// `[O]`, where there is a bias.
    pub(crate) bias: Option<B>,
}

/// The gradients of a sum weighted by `grad`, from the results `y`, both `[B, O, H, W]`.
///
/// # Safety
/// The buffers must hold what [`Epilogue`] and this say.
pub(crate) unsafe fn backward<L: Launcher>(
    launcher: &L,
    epilogue: &Epilogue<'_, L::Buffer>,
    y: &Arg<'_, L::Buffer>,
    grad: &Arg<'_, L::Buffer>,
) -> Result<Gradients<L::Buffer>> {
    let &Epilogue { dtype, planes, ref scale, .. } = epilogue;
    let [outputs, pixels] = epilogue.sizes()?;
    let plane = |wanted: bool| wanted.then(|| launcher.allocate(dtype, planes.len())).transpose();
    let (residual, sums) = (plane(epilogue.has_relu())?, plane(epilogue.has_scale())?);
    if residual.is_none() && sums.is_none() && !epilogue.has_bias() {
        return Ok(Gradients { residual, sums, bias: None });
    }
    let grid = Grid::of_pieces(epilogue.planes(), planes.pixels());
    let of_pieces = epilogue.has_bias().then(|| launcher.allocate(DType::F64, grid.blocks)).transpose()?;
    let arguments = [
        y.again(),
        grad.again(),
        scale.again(),
        residual.as_ref().map_or(Arg::Null, Arg::Buffer),
        sums.as_ref().map_or(Arg::Null, Arg::Buffer),
        of_pieces.as_ref().map_or(Arg::Null, Arg::Buffer),
        outputs.again(),
        pixels.again(),
        Arg::Int(epilogue.has_relu().into()),
    ];
    // SAFETY: these are the kernel's parameters; each element belongs to one piece, and each piece has its sum.
    unsafe { launcher.launch(&SOURCE, dtype, "conv2d_epilogue_backward", grid, &arguments)? };
    let of_bias = |of_pieces| -> Result<L::Buffer> {
        let bias = launcher.allocate(dtype, planes.channels)?;
        let batch = Arg::Int(int(SOURCE.name, "B", planes.batch)?);
        let arguments = [Arg::Buffer(of_pieces), Arg::Buffer(&bias), batch, outputs, pixels];
        // SAFETY: these are the kernel's parameters; each channel has its block, and each piece the sum that was
        // written above.
        unsafe { launcher.launch(&SOURCE, dtype, "conv2d_bias_gradient", Grid::of_sums(planes.channels), &arguments)? };
        Ok(bias)
    };
    let bias = of_pieces.as_ref().map(of_bias).transpose()?;
    Ok(Gradients { residual, sums, bias })
}

/// The gradient for the scale, `[B, 1, H, W]`, from a convolution's sums without bias and g ([`Gradients::residual`]),
/// both `[B, O, H, W]`.
///
/// # Safety
/// The buffers must hold what [`Epilogue`] and this say.
pub(crate) unsafe fn scale_gradient<L: Launcher>(
    launcher: &L,
    epilogue: &Epilogue<'_, L::Buffer>,
    sums: &Arg<'_, L::Buffer>,
    g: &Arg<'_, L::Buffer>,
) -> Result<L::Buffer> {
    let Planes { batch, .. } = epilogue.planes;
    let pixels = epilogue.planes.pixels();
    let d_scale = launcher.allocate(epilogue.dtype, batch * pixels)?;
    let mut arguments = vec![sums.again(), epilogue.bias.again(), g.again(), Arg::Buffer(&d_scale)];
    arguments.extend(epilogue.sizes()?);
    let grid = Grid::of_planes(batch, pixels);
    // SAFETY: these are the kernel's parameters; a thread for each pixel of each picture reads that pixel's channels.
    unsafe { launcher.launch(&SOURCE, epilogue.dtype, "conv2d_scale_gradient", grid, &arguments)? };
    Ok(d_scale)
}
