//! All parameters as one list, in the network's order.

use std::ops::Range;

use candle_core::Tensor;

use super::super::layers::{Bottleneck, Scans, SpatialAttention};
use super::super::{Layer, SpaNet};
use crate::Result;
use crate::conv::Conv;

/// A convolution and where its parameters lie.
#[derive(Clone, Debug)]
pub(super) struct ConvAt {
    pub weights: Range<usize>,
    pub bias: Option<Range<usize>>,
    pub inputs: usize,
    pub outputs: usize,
    pub size: usize,
    pub dilation: usize,
}

/// The coefficients of four scans, `[4, C]` each.
#[derive(Clone, Debug)]
pub(super) struct ScansAt {
    pub weights: Range<usize>,
    pub biases: Range<usize>,
}

#[derive(Clone, Debug)]
pub(super) struct AttentionAt {
    pub branch: Option<[ConvAt; 3]>,
    pub conv_in: ConvAt,
    pub scans1: ScansAt,
    pub conv2: ConvAt,
    pub scans2: ScansAt,
    pub conv3: ConvAt,
    pub conv_out: ConvAt,
}

#[derive(Clone, Debug)]
pub(super) struct NetworkAt {
    pub layers: Vec<Layer>,
    pub conv_in: ConvAt,
    pub blocks: Vec<[ConvAt; 3]>,
    pub attention: Vec<AttentionAt>,
    pub conv_out: ConvAt,
}

impl NetworkAt {
    pub(super) fn has_attention(&self) -> bool {
        !self.attention.is_empty()
    }
}

/// The network's arrangement, and its parameters as one tensor through which gradients reach each of them.
pub(super) fn collect(network: &SpaNet) -> Result<(NetworkAt, Tensor)> {
    let mut list = List::default();
    let at = NetworkAt {
        layers: network.layers(),
        conv_in: list.conv(&network.conv_in)?,
        blocks: network.blocks.iter().map(|block| list.block(block)).collect::<Result<_>>()?,
        attention: network.attention.iter().map(|module| list.attention(module)).collect::<Result<_>>()?,
        conv_out: list.conv(&network.conv_out)?,
    };
    Ok((at, Tensor::cat(&list.tensors, 0)?))
}

#[derive(Default)]
struct List {
    tensors: Vec<Tensor>,
    length: usize,
}

impl List {
    fn add(&mut self, tensor: &Tensor) -> Result<Range<usize>> {
        let start = self.length;
        self.length += tensor.elem_count();
        self.tensors.push(tensor.flatten_all()?);
        Ok(start..self.length)
    }

    fn conv(&mut self, conv: &Conv) -> Result<ConvAt> {
        let (outputs, inputs, size, _) = conv.weight.dims4()?;
        let weights = self.add(&conv.weight)?;
        let bias = conv.bias.as_ref().map(|bias| self.add(bias)).transpose()?;
        Ok(ConvAt { weights, bias, inputs, outputs, size, dilation: conv.dilation })
    }

    fn block(&mut self, block: &Bottleneck) -> Result<[ConvAt; 3]> {
        Ok([self.conv(&block.conv1)?, self.conv(&block.conv2)?, self.conv(&block.conv3)?])
    }

    fn scans(&mut self, scans: &Scans) -> Result<ScansAt> {
        let mut all = |tensors: &[Tensor]| -> Result<Range<usize>> {
            let start = self.length;
            tensors.iter().try_for_each(|tensor| self.add(tensor).map(drop))?;
            Ok(start..self.length)
        };
        Ok(ScansAt { weights: all(&scans.weights)?, biases: all(&scans.biases)? })
    }

    fn attention(&mut self, module: &SpatialAttention) -> Result<AttentionAt> {
        let branch = module.used_branch().map(|branch| {
            Ok::<_, crate::Error>([self.conv(&branch.conv1)?, self.conv(&branch.conv2)?, self.conv(&branch.conv3)?])
        });
        Ok(AttentionAt {
            branch: branch.transpose()?,
            conv_in: self.conv(&module.conv_in)?,
            scans1: self.scans(&module.irnn1)?,
            conv2: self.conv(&module.conv2)?,
            scans2: self.scans(&module.irnn2)?,
            conv3: self.conv(&module.conv3)?,
            conv_out: self.conv(&module.conv_out)?,
        })
    }
}
