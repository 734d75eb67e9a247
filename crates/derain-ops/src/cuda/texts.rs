//! Every operation's kernels by name, and their texts for a compiler outside.

use std::collections::BTreeSet;

use candle_core::DType;

use super::Source;

/// Those of all operations.
const SOURCES: [&Source; 8] = [
    &crate::batch_norm::KERNELS,
    &crate::conv2d::KERNELS,
    &crate::irnn::KERNELS,
    &crate::lstm_gates::KERNELS,
    &crate::max_pool2d::KERNELS,
    &crate::rlcn::KERNELS,
    &crate::ssim::KERNELS,
    &crate::upsample2x::KERNELS,
];

/// Names say which compiled kernels are which.
#[test]
fn names_are_unique() {
    let names: BTreeSet<_> = SOURCES.iter().map(|source| source.name).collect();
    assert_eq!(names.len(), SOURCES.len(), "{names:?}");
}

/// Writes what would be compiled, text by text and type by type, to the folder `DERAIN_KERNEL_TEXTS`, for `.ci/kernels`.
#[test]
#[ignore = "writes files for .ci/kernels"]
fn write() {
    let folder = std::env::var_os("DERAIN_KERNEL_TEXTS").expect("DERAIN_KERNEL_TEXTS names a folder");
    for source in SOURCES {
        for dtype in [DType::F64, DType::F32, DType::F16, DType::BF16] {
            let file = std::path::Path::new(&folder).join(format!("{}_{}.cu", source.name, dtype.as_str()));
            std::fs::write(file, source.text_for(dtype).expect("a type that kernels take")).expect("a writable folder");
        }
    }
}
