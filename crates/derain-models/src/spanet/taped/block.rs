//! A residual block: relu(conv3(relu(conv2(relu(conv1 x)))) · map + x).

use derain_ops::conv2d::cpu::PixelsEpilogue;
use derain_ops::pixels::Pixels;
use derain_ops::{Activation, Element, Result};

use super::parameters::ConvAt;
use super::run::{Run, add, plain, relu};

/// What the gradient needs beside the block's input and result.
pub(super) struct Saved<E: Element> {
    first: Pixels<E>,
    second: Pixels<E>,
}

pub(super) fn forward<E: Element>(
    run: &Run<'_, E>,
    block: &[ConvAt; 3],
    x: &Pixels<E>,
    map: Option<&Pixels<E>>,
) -> Result<(Pixels<E>, Saved<E>)> {
    let [conv1, conv2, conv3] = block;
    let first = run.convolve(&run.convolution(conv1, 1)?, &[x], &relu());
    let second = run.convolve(&run.convolution(conv2, 1)?, &[&first], &relu());
    let epilogue = PixelsEpilogue { scale: map, residual: Some(x), activation: Activation::Relu };
    let y = run.convolve(&run.convolution(conv3, 1)?, &[&second], &epilogue);
    Ok((y, Saved { first, second }))
}

/// From the gradient of the result `y`: that of x, added to those of the parameters and of the map.
pub(super) fn backward<E: Element>(
    run: &Run<'_, E>,
    block: &[ConvAt; 3],
    (x, y): (&Pixels<E>, &Pixels<E>),
    saved: &Saved<E>,
    mut of_y: Pixels<E>,
    map: Option<(&Pixels<E>, &mut Pixels<E>)>,
    gradients: &mut [E],
) -> Result<Pixels<E>> {
    let [conv1, conv2, conv3] = block;
    let Saved { first, second } = saved;
    of_y.keep_where_positive(run.isa, y);
    let of_sum = of_y;
    let weighted = match map {
        None => None,
        Some((map, of_map)) => {
            let change = run.convolve(&run.convolution(conv3, 1)?, &[second], &plain());
            let (mut weighted, mut dots) = (run.pixels(conv3.outputs), run.exact_pixels(1));
            of_sum.weigh(run.isa, map, &change, &mut weighted, &mut dots);
            add(of_map.values_mut(), dots.values());
            Some(weighted)
        }
    };
    let of_change = weighted.as_ref().unwrap_or(&of_sum);
    run.add_weight_gradient(conv3, second, of_change, gradients);
    let mut of_second = run.convolve(&run.transposed(conv3)?, &[of_change], &plain());
    of_second.keep_where_positive(run.isa, second);
    run.add_weight_gradient(conv2, first, &of_second, gradients);
    let mut of_first = run.convolve(&run.transposed(conv2)?, &[&of_second], &plain());
    of_first.keep_where_positive(run.isa, first);
    run.add_weight_gradient(conv1, x, &of_first, gradients);
    let epilogue = PixelsEpilogue { residual: Some(&of_sum), ..plain() };
    Ok(run.convolve(&run.transposed(conv1)?, &[&of_first], &epilogue))
}
