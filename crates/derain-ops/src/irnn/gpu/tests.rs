//! On a GPU as on the CPU.

use crate::cuda::tests_gpu::{Op, compare};
use crate::irnn::op::{Irnn, IrnnDirectional};

/// Around strips of 32 lines, chunks of 128 positions and steps of 256; more than waits in shared memory.
const SHAPES: [[usize; 4]; 7] =
    [[1, 1, 1, 1], [2, 3, 2, 34], [1, 2, 33, 20], [2, 1, 6, 130], [1, 1, 9, 257], [1, 1, 260, 3], [1, 1, 2, 2100]];

#[test]
fn scans() {
    for [batch, channels, height, width] in SHAPES {
        let (x, coefficients) = (vec![batch, channels, height, width], vec![4, channels]);
        compare("irnn", |_| Op::three(Irnn), &[x.clone(), coefficients.clone(), coefficients], (-0.9, 0.9));
        let shapes = [x, vec![2, 4, channels], vec![batch, 4, height, width]];
        compare("irnn_directional", |_| Op::three(IrnnDirectional), &shapes, (-0.9, 0.9));
    }
}
