//! On a GPU as on the CPU.

use crate::cuda::tests_gpu::{Op, compare};
use crate::lstm_gates::op::LstmGates;

#[test]
fn steps() {
    for [batch, channels, height, width] in [[1, 1, 1, 1], [2, 3, 5, 33]] {
        let shapes = [vec![batch, 4 * channels, height, width], vec![batch, channels, height, width]];
        compare("lstm_gates", |_| Op::two(LstmGates), &shapes, (-2.0, 2.0));
    }
}
