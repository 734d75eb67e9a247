//! On a GPU as on the CPU.

use crate::cuda::tests_gpu::{Op, compare};
use crate::max_pool2d::op::MaxPool2d;

#[test]
fn pools() {
    for shape in [[1, 1, 2, 2], [2, 3, 6, 34]] {
        compare("max_pool2d", |_| Op::one(MaxPool2d), &[shape.to_vec()], (-1.0, 1.0));
    }
}
