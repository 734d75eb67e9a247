//! The buffers of a run.

use std::sync::{Mutex, PoisonError};

use derain_ops::buffer::Aligned;

use super::SCALES;

/// How many values the buffers hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lengths {
    /// Each of a scale's three.
    pub(super) scales: [usize; SCALES],
    pub(super) input: usize,
    /// Each of the other two that serve any scale.
    pub(super) inner: usize,
}

/// What one scale of the encoder keeps from stage to stage.
#[derive(Debug)]
pub(super) struct ScaleBuffers {
    pub(super) hidden: Aligned<f32>,
    pub(super) cell: Aligned<f32>,
    pub(super) features: Aligned<f32>,
}

/// What serves any scale.
#[derive(Debug)]
pub(super) struct Shared {
    /// An encoder's input, a decoder's result.
    pub(super) input: Aligned<f32>,
    pub(super) first: Aligned<f32>,
    pub(super) second: Aligned<f32>,
}

#[derive(Debug)]
pub(super) struct Workspace {
    lengths: Lengths,
    pub(super) scales: Vec<ScaleBuffers>,
    pub(super) shared: Shared,
}

/// The last run's buffers, if they are small: the system would clear their pages anew for the next picture.
#[derive(Debug, Default)]
pub(super) struct Idle(Mutex<Option<Workspace>>);

/// Values of the largest workspace that is kept, 100 MB: 256x256 pixels take 75.
const LARGEST_KEPT: u64 = 25 << 20;

impl Lengths {
    /// Values of all buffers.
    pub(super) fn all(&self) -> u64 {
        let scales = self.scales.iter().fold(0, |sum: u64, &length| sum.saturating_add(length as u64));
        let inner = (self.inner as u64).saturating_mul(2);
        scales.saturating_mul(3).saturating_add(self.input as u64).saturating_add(inner)
    }
}

impl Workspace {
    fn new(lengths: Lengths) -> Self {
        let Lengths { scales, input, inner } = lengths;
        let zeros = Aligned::zeroed;
        let scales = scales.into_iter().map(|length| ScaleBuffers {
            hidden: zeros(length),
            cell: zeros(length),
            features: zeros(length),
        });
        let shared = Shared { input: zeros(input), first: zeros(inner), second: zeros(inner) };
        Self { lengths, scales: scales.collect(), shared }
    }
}

impl Idle {
    /// Buffers with empty cells; what the others hold is left over.
    pub(super) fn take(&self, lengths: Lengths) -> Workspace {
        let idle = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        // Buffers of another size are freed before these are made.
        let Some(mut workspace) = idle.filter(|workspace| workspace.lengths == lengths) else {
            return Workspace::new(lengths);
        };
        workspace.scales.iter_mut().for_each(|scale| scale.cell.fill(0.0));
        workspace
    }

    pub(super) fn keep(&self, workspace: Workspace) {
        if workspace.lengths.all() <= LARGEST_KEPT {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(workspace);
        }
    }
}
