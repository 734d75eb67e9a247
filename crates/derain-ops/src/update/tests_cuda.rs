//! The text of `kernels.cu`, run on the CPU through the launches of `cuda.rs`, against the formulas.

use candle_core::DType;

use super::{AdamStep, cuda};
use crate::cuda::on_cpu::checks::{Check, assert_noticed};
use crate::cuda::on_cpu::{Program, Recorder, rounded};
use crate::cuda::{Arg, Launcher, pieces};
use crate::testing::Noise;

const STEP: AdamStep = AdamStep { betas: [0.9, 0.99], scale: 0.5, step: 0.1, root: 1.5, epsilon: 0.01, kept: 0.875 };

fn check(count: usize, noise: &mut Noise) -> Check {
    let mut values = || rounded(DType::F32, &noise.uniform(count, 0.1, 1.0));
    let [w, g, m, v, average] = [values(), values(), values(), values(), values()];
    let AdamStep { betas: [b1, b2], scale, step, root, epsilon, kept } = STEP;
    let mix = |beta: f64, old: &[f64], new: &dyn Fn(f64) -> f64| -> Vec<f64> {
        old.iter().zip(&g).map(|(old, g)| beta * old + (1.0 - beta) * new(g * scale)).collect()
    };
    let (first, second) = (mix(b1, &m, &|g| g), mix(b2, &v, &|g| g * g));
    let change = first.iter().zip(&second).map(|(m, v)| step * m / (v.sqrt() * root + epsilon));
    let changed: Vec<f64> = w.iter().zip(change).map(|(w, change)| kept * w - change).collect();
    let approached: Vec<f64> = average.iter().zip(&g).map(|(a, g)| a + 0.25 * (g - a)).collect();
    let squares: Vec<f64> = g.chunks(4096).map(|piece| piece.iter().map(|g| g * g).sum()).collect();

    let recorder = Recorder::default();
    let [w, g, m, v, average] = [w, g, m, v, average].map(|values| recorder.upload(DType::F32, &values));
    let sums = recorder.allocate(DType::F64, pieces(count)).expect("recorded");
    let (gradient, of_sums) = (Arg::Buffer(&g), Arg::Buffer(&sums));
    // SAFETY: launches are only recorded; the process that runs them is apart from this one.
    unsafe {
        let tensors = [&Arg::Buffer(&w), &gradient, &Arg::Buffer(&m), &Arg::Buffer(&v)];
        cuda::adam(&recorder, tensors, &STEP, count).expect("recorded");
        cuda::approach(&recorder, [&Arg::Buffer(&average), &gradient], 0.25, count).expect("recorded");
        cuda::sum_squares(&recorder, [&gradient, &of_sums], count).expect("recorded");
    }
    Check::new(format!("{count} elements"), recorder)
        .expect("w", w, changed, 1e-6)
        .expect("m", m, first, 1e-6)
        .expect("v", v, second, 1e-6)
        .expect("average", average, approached, 1e-6)
        .expect("squares", sums, squares, 1e-12)
}

#[test]
fn kernels_equal_the_formulas_in_any_order_of_threads() {
    let Some(program) = Program::compile(&cuda::SOURCE, DType::F32) else { return };
    let mut noise = Noise::new(87);
    for count in [1, 255, 256, 257, 4096, 9000] {
        check(count, &mut noise).assert(&program);
    }
}

/// Each of these mistakes must show in some order of threads.
#[test]
fn mutants_fail() {
    // (what is changed, its which occurrence, to what)
    let mutants = [
        ("if (at >= (unsigned)elements) return;", 0, ""),
        ("if (at >= (unsigned)elements) return;", 1, ""),
        ("* (Real)scale", 0, ""),
        ("(Real)(1 - beta2) * gradient * gradient", 0, "(Real)(1 - beta2) * gradient"),
        ("* (Real)root", 0, ""),
        ("(Real)kept * ", 0, ""),
        ("(Real)share * (load(to + at) - value)", 0, "(Real)share * load(to + at)"),
        ("sums[blockIdx.x]", 0, "sums[0]"),
        ("__syncthreads();", 0, ";"),
    ];
    let mut noise = Noise::new(88);
    let checks = [257, 9000].map(|count| check(count, &mut noise));
    assert_noticed(&cuda::SOURCE, DType::F32, &mutants, &checks);
}
