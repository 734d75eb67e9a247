//! Every operation's kernels by name, and their texts for a compiler outside.

use std::collections::BTreeSet;
use std::path::PathBuf;

use candle_core::DType;

use super::Source;

/// Those of all operations.
const SOURCES: [&Source; 11] = [
    &crate::batch_norm::KERNELS,
    &crate::conv2d::KERNELS,
    &crate::conv2d::DIRECT_KERNELS,
    &crate::conv2d::WEIGHT_GRADIENT_KERNELS,
    &crate::irnn::KERNELS,
    &crate::lstm_gates::KERNELS,
    &crate::max_pool2d::KERNELS,
    &crate::rlcn::KERNELS,
    &crate::ssim::KERNELS,
    &crate::update::KERNELS,
    &crate::upsample2x::KERNELS,
];

/// Names say which compiled kernels are which.
#[test]
fn names_are_unique() {
    let names: BTreeSet<_> = SOURCES.iter().map(|source| source.name).collect();
    assert_eq!(names.len(), SOURCES.len(), "{names:?}");
}

/// Every text for every type of elements, as it would be compiled; in the folder `DERAIN_KERNEL_TEXTS`, where that is
/// set, for `.ci/kernels.py`.
#[test]
fn texts_are_written() {
    let own = tempfile::tempdir().expect("a folder");
    let folder = std::env::var_os("DERAIN_KERNEL_TEXTS").map_or_else(|| own.path().to_owned(), PathBuf::from);
    let mut texts = BTreeSet::new();
    for source in SOURCES {
        for dtype in [DType::F64, DType::F32, DType::F16, DType::BF16] {
            let text = source.text_for(dtype).expect("a type that kernels take");
            let file = folder.join(format!("{}_{}.cu", source.name, dtype.as_str()));
            std::fs::write(file, &text).expect("a writable folder");
            assert!(texts.insert(text), "{} is the same for {dtype:?} as for another type", source.name);
        }
        assert!(source.text_for(DType::U8).is_err(), "{} takes bytes", source.name);
    }
}
