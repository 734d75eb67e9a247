//! Against PyTorch's results, gradients and running statistics.

use candle_core::{Device, Tensor, Var};

use super::values;
use crate::batch_norm::{BatchNormOutput, batch_norm_eval, batch_norm_train, instance_norm};
use crate::testing::{assert_close, sum_weighted};
use crate::{Activation, Result};

/// ```python
/// x = torch.tensor([[[[1., 2.]], [[3., -1.]]], [[[4., 9.]], [[0., 5.]]]], dtype=torch.float64, requires_grad=True)
/// bn = torch.nn.BatchNorm2d(2, eps=1e-2, momentum=0.1, dtype=torch.float64)
/// with torch.no_grad():
///     bn.weight.copy_(torch.tensor([2., -1.])); bn.bias.copy_(torch.tensor([0.5, 3.]))
/// g = torch.tensor([[[[1., -2.]], [[3., 4.]]], [[[-5., 6.]], [[7., -8.]]]], dtype=torch.float64)
/// for train in (True, False):
///     bn.train(train); bn.zero_grad(); x.grad = None
///     y = bn(x); y.backward(g)
///     print(y.flatten().tolist(), x.grad.flatten().tolist(), bn.weight.grad.tolist(), bn.bias.grad.tolist())
///     print(bn.running_mean.tolist(), bn.running_var.tolist())
/// x.grad = None
/// y = F.instance_norm(x, eps=1e-2); y.backward(g)
/// print(y.flatten().tolist(), x.grad.flatten().tolist())
/// ```
#[test]
fn results_gradients_and_running_statistics_are_pytorchs() -> Result<()> {
    const WEIGHTS: [f64; 8] = [1., -2., 3., 4., -5., 6., 7., -8.];
    const MOMENTUM: f64 = 0.1;
    let x = Var::new(&[[[[1f64, 2.]], [[3., -1.]]], [[[4., 9.]], [[0., 5.]]]], &Device::Cpu)?;
    let (gamma, beta) = (Var::new(&[2f64, -1.], &Device::Cpu)?, Var::new(&[0.5f64, 3.], &Device::Cpu)?);
    let check = |y: &Tensor, expected: [&[f64]; 4], what: &str| -> Result<()> {
        let gradients = sum_weighted(y, &WEIGHTS)?.backward()?;
        assert_close(&values(y), expected[0], 1e-14, what);
        for (var, expected) in [&x, &gamma, &beta].into_iter().zip(&expected[1..]).filter(|(_, e)| !e.is_empty()) {
            assert_close(&values(gradients.get(var).expect("a gradient")), expected, 1e-13, what);
        }
        Ok(())
    };
    #[rustfmt::skip]
    let train: [&[f64]; 4] = [
        &[
            -1.4456333053765644, -0.797088870251043, 2.4763177594436154, 4.152100929224047,
            0.5, 3.7427221756276077, 3.733155136778939, 1.6384261745533995,
        ], &[
            2.2341025967099983, -0.24005009586139187, -1.6739448819680354, 1.252793144148052,
            -3.2427221756276077, 1.2486696747790011, -0.8404651878275705, 1.2616169256475538,
        ],
        &[10.052438744445583, -19.06203355625241],
        &[0., 6.],
    ];
    #[rustfmt::skip]
    let eval: [&[f64]; 4] = [
        &[
            1.3133646300642228, 2.668972346837928, 0.8128577072829924, 3.9096963518380474,
            5.380187780385337, 12.158226364253862, 3.1354866906992838, -0.7355616149945351,
        ], &[
            1.3556077167737048, -2.7112154335474097, -2.3226289834162914, -3.096838644555055,
            -6.778038583868524, 8.13364630064223, -5.419467627971346, 6.19367728911011,
        ],
        &[21.01191960999242, -27.910258284052436],
        &[0., 6.],
    ];
    #[rustfmt::skip]
    let instance: [&[f64]; 4] = [
        &[
            -0.9805806756909203, 0.9805806756909199, 0.9987523388778446, -0.9987523388778446,
            -0.9992009587217894, 0.9992009587217894, -0.9992009587217894, 0.9992009587217894,
        ], &[
            0.11314392411818312, -0.11314392411818312, -0.0006226635529163787, 0.0006226635529163787,
            -0.0035115688645175275, 0.0035115688645175275, 0.004788502997069396, -0.004788502997069396,
        ],
        &[],
        &[],
    ];
    let BatchNormOutput { y, mean, variance } = batch_norm_train(&x, &gamma, &beta, 1e-2, Activation::None)?;
    check(&y, train, "train")?;
    let running_mean = (mean * MOMENTUM)?; // from 0
    let running_variance = (variance * MOMENTUM)?.affine(1.0, 1.0 - MOMENTUM)?; // from 1
    assert_close(&values(&running_mean), &[0.4, 0.175], 1e-15, "running mean");
    assert_close(&values(&running_variance), &[2.1666666666666665, 1.6583333333333332], 1e-15, "running variance");
    check(&batch_norm_eval(&x, &gamma, &beta, &running_mean, &running_variance, 1e-2)?, eval, "eval")?;
    check(&instance_norm(&x, 1e-2, Activation::None)?, instance, "instance norm")
}
