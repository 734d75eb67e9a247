//! On a GPU as on the CPU.

use crate::cuda::tests_gpu::{Op, compare};
use crate::rlcn::RlcnOptions;
use crate::rlcn::op::Rlcn;

#[test]
fn windows() {
    for (window, clamp) in [(3, true), (9, false)] {
        let options = RlcnOptions { window, clamp, epsilon: 1e-3, variance_epsilon: 1e-3 };
        for shape in [[1, 1, 1, 3], [2, 3, 21, 19], [1, 1, 5, 260]] {
            compare("rlcn", |_| Op::one(Rlcn(options)), &[shape.to_vec()], (0.0, 1.0));
        }
    }
}
