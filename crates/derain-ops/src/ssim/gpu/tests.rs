//! On a GPU as on the CPU.

use crate::cuda::tests_gpu::{Op, compare};
use crate::ssim::SsimOptions;
use crate::ssim::op::Ssim;

#[test]
fn similarities() {
    for shape in [[1, 1, 11, 11], [2, 3, 20, 37], [1, 1, 12, 260]] {
        compare("ssim", |_| Op::two(Ssim(SsimOptions::default())), &[shape.to_vec(), shape.to_vec()], (0.0, 1.0));
    }
}
