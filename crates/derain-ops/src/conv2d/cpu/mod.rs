//! The convolution on the CPU.
//!
//! [`Convolution`] runs on rectangles of pixels with their channels side by side ([`crate::rect`]), in one of two forms;
//! `planes` brings tensors of planes into that layout and back, rectangle by rectangle, in parallel.

mod direct;
mod epilogue;
mod multiply;
mod pixels;
mod planes;
mod weight_gradient;
mod winograd;

use std::ops::Range;

pub use epilogue::Epilogue;
pub use pixels::{PixelsEpilogue, weight_gradient};
pub use planes::flipped;
pub(super) use planes::{Call, Extras, Wanted, backward, forward};

use super::form::{self, Form};
use crate::buffer::Aligned;
use crate::element::Element;
use crate::rect::{Rect, RectMut, padded};
use crate::{Error, Isa, Result};

/// Input channels that are summed in one go: a 3x3 kernel's weights from 32 channels to 32 outputs (37 kB) fit the
/// first-level cache.
const GROUP_CHANNELS: usize = 32;

/// A convolution's parameters: `values` `[outputs, C, size, size]`, bias `[outputs]`.
#[derive(Clone, Copy, Debug)]
pub struct Weights<'a, E> {
    /// The kernel.
    pub values: &'a [E],
    /// One addend for each output channel.
    pub bias: Option<&'a [E]>,
    /// Output channels.
    pub outputs: usize,
    /// The kernel's side: 1 or 3.
    pub size: usize,
}

impl<E: Element> Weights<'_, E> {
    /// Input channels.
    fn channels(&self) -> usize {
        self.values.len() / (self.outputs * self.size * self.size)
    }

    /// One weight, zero for an output channel that is padding.
    fn at(&self, output: usize, channel: usize, tap: usize) -> E {
        let taps = self.size * self.size;
        if output < self.outputs { self.values[(output * self.channels() + channel) * taps + tap] } else { E::ZERO }
    }
}

/// Neighbouring channels of one source.
#[derive(Clone, Debug)]
struct Group {
    source: usize,
    /// Within the source.
    channels: Range<usize>,
    /// The same channels within the weights.
    weights: Range<usize>,
}

fn groups(sources: &[usize]) -> Vec<Group> {
    let mut groups = Vec::new();
    let mut before = 0;
    for (source, &channels) in sources.iter().enumerate() {
        for start in (0..channels).step_by(GROUP_CHANNELS) {
            let end = channels.min(start + GROUP_CHANNELS);
            groups.push(Group { source, channels: start..end, weights: before + start..before + end });
        }
        before += channels;
    }
    groups
}

/// A convolution made ready to run many times: weights in the order in which its form uses them.
#[derive(Clone, Debug)]
pub struct Convolution<E: Element> {
    isa: Isa,
    form: Form,
    groups: Vec<Group>,
    outputs: usize,
    size: usize,
    dilation: usize,
    bias: Vec<E>,
    packed: Aligned<E>,
}

impl<E: Element> Convolution<E> {
    /// A convolution over one picture whose channels come from one or more rectangles. `sources[i]` is the number of
    /// channels of the i-th rectangle; together they are the input channels, in order. The form comes from a table, by
    /// kernel, channels and instruction set.
    ///
    /// # Errors
    /// When the weights do not fit the sources, the kernel is neither 1x1 nor 3x3, or the dilation is 0.
    pub fn new(isa: Isa, weights: Weights<'_, E>, sources: &[usize], dilation: usize) -> Result<Self> {
        let form = form::choose(isa, E::DTYPE, weights.size, dilation, sources.iter().sum(), weights.outputs);
        Self::with_form(isa, form, weights, sources, dilation)
    }

    /// The same in a form of the caller's choice, to compare forms.
    ///
    /// # Errors
    /// As [`Self::new`], and when the form does not do such kernels.
    pub fn with_form(
        isa: Isa,
        form: Form,
        weights: Weights<'_, E>,
        sources: &[usize],
        dilation: usize,
    ) -> Result<Self> {
        const OP: &str = "Convolution";
        let Weights { values, bias, outputs, size } = weights;
        let channels: usize = sources.iter().sum();
        if size != 1 && size != 3 {
            return Err(Error::Option { op: OP, option: "size", expected: "1 or 3", got: size.to_string() });
        }
        super::check_dilation(OP, dilation)?;
        if form == Form::Winograd && size != 3 {
            return Err(Error::Option { op: OP, option: "form", expected: "direct for 1x1", got: "Winograd".into() });
        }
        let expected = outputs * channels * size * size;
        if values.len() != expected || expected == 0 {
            return Err(Error::Length { op: OP, argument: "weights", expected, got: values.len() });
        }
        if let Some(bias) = bias.filter(|bias| bias.len() != outputs) {
            return Err(Error::Length { op: OP, argument: "bias", expected: outputs, got: bias.len() });
        }
        let groups = groups(sources);
        let packed = match form {
            Form::Direct => direct::pack(&weights, &groups),
            Form::Winograd => winograd::pack(isa, &weights),
        };
        let bias = epilogue::padded_bias(bias);
        Ok(Self { isa, form, groups, outputs, size, dilation, bias, packed })
    }

    /// Output channels, without padding.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Multiply-adds of the formula for one pixel.
    pub fn work_per_pixel(&self) -> usize {
        let channels: usize = self.groups.iter().map(|group| group.weights.len()).sum();
        self.outputs * channels * self.size * self.size
    }

    /// Elements that the weights take.
    pub fn packed_length(&self) -> usize {
        self.packed.len() + self.bias.len()
    }

    /// Elements to which a run makes its scratch grow.
    pub fn scratch_length(&self) -> usize {
        match self.form {
            Form::Direct => 0,
            Form::Winograd => winograd::scratch_length(&self.groups, padded(self.outputs)),
        }
    }

    /// Pixels by which sources must reach beyond the result, above and to the left.
    pub fn reach(&self) -> usize {
        self.size / 2 * self.dilation
    }

    /// Results must start at a multiple of this in rows and columns, or bits would depend on where they start.
    pub fn grid(&self) -> usize {
        if self.form == Form::Winograd { winograd::TILE * self.dilation } else { 1 }
    }

    /// Rows (or columns) that sources must have for `results` rows (or columns) of results.
    pub fn source_extent(&self, results: usize) -> usize {
        results.next_multiple_of(self.grid()) + 2 * self.reach()
    }

    /// Writes one rectangle of results. Sources start [`Self::reach`] pixels above and to the left of it, are as large
    /// as [`Self::source_extent`] says, and hold zeros outside the picture. `out` has `padded(outputs)` channels; in
    /// Winograd's form each source's channels are padded too. Trailing sources may be omitted and count as zeros.
    ///
    /// # Panics
    /// When a rectangle is too small, `out` has another number of channels, or `sources` is empty.
    pub fn run(
        &self,
        sources: &[Rect<'_, E>],
        epilogue: &Epilogue<'_, E>,
        out: RectMut<'_, E>,
        scratch: &mut Aligned<E>,
    ) {
        assert!(out.channels() == padded(self.outputs), "the result has another number of channels");
        let Self { groups, packed, bias, size, dilation, .. } = self;
        let groups = &groups[..groups.partition_point(|group| group.source < sources.len())];
        assert!(!groups.is_empty(), "nothing to convolve");
        let (size, dilation) = (*size, *dilation);
        match self.form {
            Form::Direct => {
                E::run(self.isa, direct::Direct { sources, groups, packed, bias, size, dilation, epilogue, out });
            }
            Form::Winograd => {
                E::run(
                    self.isa,
                    winograd::Winograd { sources, groups, packed, bias, dilation, epilogue, out, scratch },
                );
            }
        }
    }
}
