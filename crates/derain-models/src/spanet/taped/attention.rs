//! The spatial attentive module.
//!
//! ```text
//! m = sigmoid(branch(x))                    one map for each direction
//! p = conv_in x,  q = conv2 (scans1(p) · m),  r = relu(conv3 (scans2(q) · m)),  A = sigmoid(conv_out r)
//! ```

use derain_ops::conv2d::cpu::{Convolution, PixelsEpilogue};
use derain_ops::irnn::{Direction, RectScans, ScanSums, Start};
use derain_ops::pixels::{PixelBand, Pixels};
use derain_ops::rect::{self, Rect, RectMut, padded};
use derain_ops::{Element, Planes, Result};
use rayon::prelude::*;

use super::parameters::{AttentionAt, ConvAt, ScansAt};
use super::run::{DIRECTIONS, Run, plain, relu, sigmoid};

/// What the gradient needs beside the module's input and its map.
pub(super) struct Saved<E: Element> {
    branch: Option<SavedBranch<E>>,
    p: Pixels<E>,
    q: Pixels<E>,
    r: Pixels<E>,
}

struct SavedBranch<E: Element> {
    first: Pixels<E>,
    second: Pixels<E>,
    /// `[B, H, W, 4]`.
    maps: Pixels<E>,
}

/// The module's convolutions and scans, ready for all its uses in one pass.
pub(super) struct Module<E: Element> {
    branch: Option<[Convolution<E>; 3]>,
    conv_in: Convolution<E>,
    scans1: RectScans<E>,
    conv2: Convolution<E>,
    scans2: RectScans<E>,
    conv3: Convolution<E>,
    conv_out: Convolution<E>,
}

impl<E: Element> Module<E> {
    pub(super) fn new(run: &Run<'_, E>, at: &AttentionAt) -> Result<Self> {
        let one = |conv: &ConvAt| run.convolution(conv, 1);
        Ok(Self {
            branch: at.branch.as_ref().map(|branch| three(branch, one)).transpose()?,
            conv_in: one(&at.conv_in)?,
            scans1: scans(run, &at.scans1)?,
            conv2: run.convolution(&at.conv2, DIRECTIONS)?,
            scans2: scans(run, &at.scans2)?,
            conv3: run.convolution(&at.conv3, DIRECTIONS)?,
            conv_out: one(&at.conv_out)?,
        })
    }

    /// The map `[B, H, W, 1]` of features.
    pub(super) fn forward(&self, run: &Run<'_, E>, x: &Pixels<E>) -> (Pixels<E>, Saved<E>) {
        let branch = self.branch.as_ref().map(|[conv1, conv2, conv3]| {
            let first = run.convolve(conv1, &[x], &relu());
            let second = run.convolve(conv2, &[&first], &relu());
            let maps = sigmoids(run, &run.convolve(conv3, &[&second], &plain()), DIRECTIONS);
            SavedBranch { first, second, maps }
        });
        let maps = branch.as_ref().map(|branch| &branch.maps);
        let p = run.convolve(&self.conv_in, &[x], &plain());
        let q = run.convolve(&self.conv2, &scanned(run, &self.scans1, &p, maps).each_ref(), &plain());
        let r = run.convolve(&self.conv3, &scanned(run, &self.scans2, &q, maps).each_ref(), &relu());
        let map = sigmoids(run, &run.convolve(&self.conv_out, &[&r], &plain()), 1);
        (map, Saved { branch, p, q, r })
    }
}

fn three<T>([first, second, third]: &[ConvAt; 3], one: impl Fn(&ConvAt) -> Result<T>) -> Result<[T; 3]> {
    Ok([one(first)?, one(second)?, one(third)?])
}

fn scans<E: Element>(run: &Run<'_, E>, at: &ScansAt) -> Result<RectScans<E>> {
    let (weights, biases) = (&run.parameters[at.weights.clone()], &run.parameters[at.biases.clone()]);
    RectScans::new(run.isa, weights.len() / DIRECTIONS, weights, biases)
}

/// The gradients of the module's convolutions' inputs.
pub(super) struct Transposed<E: Element> {
    branch: Option<[Convolution<E>; 3]>,
    conv_in: Convolution<E>,
    conv2: [Convolution<E>; DIRECTIONS],
    conv3: [Convolution<E>; DIRECTIONS],
    conv_out: Convolution<E>,
}

impl<E: Element> Transposed<E> {
    pub(super) fn new(run: &Run<'_, E>, at: &AttentionAt) -> Result<Self> {
        let one = |conv: &ConvAt| run.transposed(conv);
        let quarters = |conv: &ConvAt| -> Result<[Convolution<E>; DIRECTIONS]> {
            let [up, right, down, left] = [0, 1, 2, 3].map(|direction| run.transposed_quarter(conv, direction));
            Ok([up?, right?, down?, left?])
        };
        Ok(Self {
            branch: at.branch.as_ref().map(|branch| three(branch, one)).transpose()?,
            conv_in: one(&at.conv_in)?,
            conv2: quarters(&at.conv2)?,
            conv3: quarters(&at.conv3)?,
            conv_out: one(&at.conv_out)?,
        })
    }
}

/// From the gradient of the map: that of x is added to `of_x`, those of the parameters to theirs.
pub(super) fn backward<E: Element>(
    run: &Run<'_, E>,
    (at, module, transposed): (&AttentionAt, &Module<E>, &Transposed<E>),
    (x, map): (&Pixels<E>, &Pixels<E>),
    saved: &Saved<E>,
    of_map: &Pixels<E>,
    of_x: Pixels<E>,
    gradients: &mut [E],
) -> Pixels<E> {
    let Saved { branch, p, q, r } = saved;
    let of_logits = sigmoid_gradients(run, map, of_map);
    run.add_weight_gradient(&at.conv_out, r, &of_logits, gradients);
    let mut of_r = run.convolve(&transposed.conv_out, &[&of_logits], &plain());
    of_r.keep_where_positive(run.isa, r);

    let maps = branch.as_ref().map(|branch| &branch.maps);
    let mut of_maps = maps.map(|_| {
        let mut of_maps = run.exact_pixels(DIRECTIONS);
        of_maps.values_mut().fill(E::ZERO);
        of_maps
    });
    let mut round = |conv, transposed, scans, at, source, grad| {
        let round = Round { conv, transposed, scans, at, source, maps };
        round.backward(run, grad, of_maps.as_mut(), gradients)
    };
    let of_q = round(&at.conv3, &transposed.conv3, &module.scans2, &at.scans2, q, &of_r);
    let of_p = round(&at.conv2, &transposed.conv2, &module.scans1, &at.scans1, p, &of_q);
    run.add_weight_gradient(&at.conv_in, x, &of_p, gradients);
    let epilogue = PixelsEpilogue { residual: Some(&of_x), ..plain() };
    let of_x = run.convolve(&transposed.conv_in, &[&of_p], &epilogue);

    match (&at.branch, &transposed.branch, branch, of_maps) {
        (Some(at), Some(transposed), Some(saved), Some(of_maps)) => {
            branch_backward(run, (at, transposed), x, saved, &of_maps, &of_x, gradients)
        }
        _ => of_x,
    }
}

/// From the gradients of the directions' maps, as [`backward`].
fn branch_backward<E: Element>(
    run: &Run<'_, E>,
    (at, transposed): (&[ConvAt; 3], &[Convolution<E>; 3]),
    x: &Pixels<E>,
    saved: &SavedBranch<E>,
    of_maps: &Pixels<E>,
    of_x: &Pixels<E>,
    gradients: &mut [E],
) -> Pixels<E> {
    let SavedBranch { first, second, maps } = saved;
    let of_logits = sigmoid_gradients(run, maps, of_maps);
    run.add_weight_gradient(&at[2], second, &of_logits, gradients);
    let mut of_second = run.convolve(&transposed[2], &[&of_logits], &plain());
    of_second.keep_where_positive(run.isa, second);
    run.add_weight_gradient(&at[1], first, &of_second, gradients);
    let mut of_first = run.convolve(&transposed[1], &[&of_second], &plain());
    of_first.keep_where_positive(run.isa, first);
    run.add_weight_gradient(&at[0], x, &of_first, gradients);
    let epilogue = PixelsEpilogue { residual: Some(of_x), ..plain() };
    run.convolve(&transposed[0], &[&of_first], &epilogue)
}

/// One of the module's two rounds: four scans of `source`, times their maps, and the convolution over them.
struct Round<'a, E: Element> {
    conv: &'a ConvAt,
    transposed: &'a [Convolution<E>; DIRECTIONS],
    scans: &'a RectScans<E>,
    at: &'a ScansAt,
    source: &'a Pixels<E>,
    maps: Option<&'a Pixels<E>>,
}

impl<E: Element> Round<'_, E> {
    /// The gradient of the source from that of the convolution's result; those of the maps are added to `of_maps`.
    fn backward(
        &self,
        run: &Run<'_, E>,
        grad: &Pixels<E>,
        mut of_maps: Option<&mut Pixels<E>>,
        gradients: &mut [E],
    ) -> Pixels<E> {
        let channels = self.conv.inputs / DIRECTIONS;
        let mut of_source = run.pixels(channels);
        of_source.values_mut().fill(E::ZERO);
        let mut of_round = self.maps.map(|_| run.exact_pixels(DIRECTIONS));
        for direction in Direction::ALL {
            let d = direction as usize;
            let scanned = |maps| scanned_in(run, self.scans, direction, self.source, maps);
            let (h, weighted) = rayon::join(|| scanned(None), || self.maps.map(|maps| scanned(Some(maps))));
            run.add_quarter_gradient(self.conv, d, weighted.as_ref().unwrap_or(&h), grad, gradients);
            drop(weighted);
            let of_h = run.convolve(&self.transposed[d], &[grad], &plain());

            let mut narrow = of_round.iter_mut().flat_map(|of_round| stripes(of_round, direction));
            let wide = stripes(&mut of_source, direction).into_iter();
            let stripes: Vec<_> = wide.map(|stripe| (stripe, narrow.next())).collect();
            let sums = stripes.into_par_iter().map(|(stripe, of_maps)| {
                let (h, of_h) = (stripe.of(&h), stripe.of(&of_h));
                let maps = self.maps.zip(of_maps).map(|(maps, of_maps)| (stripe.of(maps), of_maps.pixels));
                self.scans.gradient(direction, h, of_h, maps, stripe.pixels)
            });
            // Added in the stripes' order, whoever has made them.
            let sums = sums.collect::<Vec<ScanSums>>().into_iter().reduce(|mut all, next| {
                all += next;
                all
            });
            if let Some(ScanSums { a, b }) = sums {
                for (range, sums) in [(&self.at.weights, a), (&self.at.biases, b)] {
                    let targets = gradients[range.clone()][d * channels..][..channels].iter_mut();
                    targets.zip(sums).for_each(|(target, sum)| *target += E::from_f64(sum));
                }
            }
        }
        if let (Some(of_maps), Some(of_round)) = (of_maps.as_mut(), of_round) {
            super::run::add(of_maps.values_mut(), of_round.values());
        }
        of_source
    }
}

/// Rows, or columns where the scan is vertical, that are scanned on their own, beside others. No number of threads
/// changes it, or sums would change; scans take 8 at once, their gradients 6.
const STRIPE: usize = 24;

/// Some rows or columns of a picture.
struct Stripe<'a, E> {
    picture: usize,
    corner: (usize, usize),
    pixels: RectMut<'a, E>,
}

impl<E: Element> Stripe<'_, E> {
    /// The same of another batch.
    fn of<'p>(&self, pixels: &'p Pixels<E>) -> Rect<'p, E> {
        let (row, column) = self.corner;
        pixels.picture(self.picture).part(row, column, self.pixels.rows(), self.pixels.columns())
    }
}

/// All stripes of a batch, picture by picture.
fn stripes<E: Element>(pixels: &mut Pixels<E>, direction: Direction) -> Vec<Stripe<'_, E>> {
    let Planes { height, width, .. } = pixels.shape();
    let (rows, columns) = if direction.is_vertical() { (height, STRIPE) } else { (STRIPE, width) };
    let of_picture = |PixelBand { picture, pixels, .. }| {
        rect::tiles([pixels], rows, columns).map(move |(corner, [pixels])| Stripe { picture, corner, pixels })
    };
    pixels.pictures().into_iter().flat_map(of_picture).collect()
}

/// One direction of all pictures, times its map.
fn scanned_in<E: Element>(
    run: &Run<'_, E>,
    scans: &RectScans<E>,
    direction: Direction,
    source: &Pixels<E>,
    maps: Option<&Pixels<E>>,
) -> Pixels<E> {
    let mut out = run.exact_pixels(source.shape().channels);
    stripes(&mut out, direction).into_par_iter().for_each(|stripe| {
        let across = if direction.is_vertical() { stripe.pixels.columns() } else { stripe.pixels.rows() };
        let mut state = vec![E::ZERO; across * source.shape().channels];
        let (source, maps) = (stripe.of(source), maps.map(|maps| stripe.of(maps)));
        scans.scan(direction, source, Start::Border, &mut state, maps, stripe.pixels);
    });
    out
}

/// All four, at once: there may be more threads than pictures.
fn scanned<E: Element>(
    run: &Run<'_, E>,
    scans: &RectScans<E>,
    source: &Pixels<E>,
    maps: Option<&Pixels<E>>,
) -> [Pixels<E>; DIRECTIONS] {
    let [up, right, down, left] =
        Direction::ALL.map(|direction| move || scanned_in(run, scans, direction, source, maps));
    let ((up, right), (down, left)) = rayon::join(|| rayon::join(up, right), || rayon::join(down, left));
    [up, right, down, left]
}

/// The sigmoids of the first channels, without padding.
fn sigmoids<E: Element>(run: &Run<'_, E>, logits: &Pixels<E>, channels: usize) -> Pixels<E> {
    let mut maps = run.exact_pixels(channels);
    let pixels = logits.values().par_chunks(logits.shape().channels);
    maps.values_mut().par_chunks_mut(channels).zip(pixels).with_min_len(PIXELS_AT_ONCE).for_each(|(maps, logits)| {
        maps.iter_mut().zip(logits).for_each(|(map, &logit)| *map = sigmoid(logit));
    });
    maps
}

/// The gradients of the sigmoids' arguments, padded with zeros.
fn sigmoid_gradients<E: Element>(run: &Run<'_, E>, maps: &Pixels<E>, of_maps: &Pixels<E>) -> Pixels<E> {
    let channels = maps.shape().channels;
    let mut of_logits = run.pixels(channels);
    let of_pixels = of_logits.values_mut().par_chunks_mut(padded(channels));
    let maps = maps.values().par_chunks(channels).zip(of_maps.values().par_chunks(channels));
    of_pixels.zip(maps).with_min_len(PIXELS_AT_ONCE).for_each(|(of_logits, (maps, of_maps))| {
        of_logits.fill(E::ZERO);
        for (of_logit, (&map, &of_map)) in of_logits.iter_mut().zip(maps.iter().zip(of_maps)) {
            *of_logit = of_map * map * (E::ONE - map);
        }
    });
    of_logits
}

/// Pixels that one task of an elementwise loop takes.
const PIXELS_AT_ONCE: usize = 2048;
