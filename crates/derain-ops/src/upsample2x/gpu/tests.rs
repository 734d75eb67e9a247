//! On a GPU as on the CPU.

use crate::cuda::tests_gpu::{Op, compare};
use crate::upsample2x::Upsampling;
use crate::upsample2x::op::Upsample2x;

#[test]
fn upsamples() {
    for mode in [Upsampling::Nearest, Upsampling::Bilinear] {
        for shape in [[1, 1, 1, 1], [2, 3, 5, 17]] {
            compare("upsample2x", |_| Op::one(Upsample2x(mode)), &[shape.to_vec()], (-1.0, 1.0));
        }
    }
}
