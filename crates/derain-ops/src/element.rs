use candle_core::{CpuStorage, WithDType};

use crate::simd::{Isa, Kernel, Lanes, run_f32};

/// The element types that CPU kernels compute in: f32 and f64. No others can be added from outside.
pub trait Element: WithDType + Default {
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;

    /// Runs a kernel with this element's vectors of the instruction set.
    fn run<K: Kernel<Self>>(isa: Isa, kernel: K) -> K::Output;

    /// The elements of a storage of this type.
    fn slice(storage: &CpuStorage) -> Option<&[Self]>;
}

impl Element for f32 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;

    fn run<K: Kernel<f32>>(isa: Isa, kernel: K) -> K::Output {
        run_f32(isa, kernel)
    }

    fn slice(storage: &CpuStorage) -> Option<&[f32]> {
        match storage {
            CpuStorage::F32(values) => Some(values),
            _ => None,
        }
    }
}

/// f64 exists to check gradients, not for speed: it runs the portable form whatever the instruction set.
impl Element for f64 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;

    fn run<K: Kernel<f64>>(_isa: Isa, kernel: K) -> K::Output {
        kernel.run::<Lanes<f64, 4>>()
    }

    fn slice(storage: &CpuStorage) -> Option<&[f64]> {
        match storage {
            CpuStorage::F64(values) => Some(values),
            _ => None,
        }
    }
}
