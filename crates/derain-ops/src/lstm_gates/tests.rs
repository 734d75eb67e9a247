use candle_core::{DType, Device, Tensor, Var};

use super::reference::State;
use super::sigmoid::Sigmoid;
use super::{LstmState, cpu, lstm_gates, reference};
use crate::finite_differences::assert_gradients;
use crate::testing::{Noise, assert_close, sum_weighted, to_f64, within_pool};
use crate::{Error, Isa, Planes};

/// One pixel, odd sizes, sizes around the vector lengths, batches, several pieces in a picture.
const SHAPES: [(usize, usize, usize, usize); 12] = [
    (1, 1, 1, 1),
    (3, 1, 1, 1),
    (1, 1, 1, 7),
    (2, 3, 3, 5),
    (1, 2, 4, 4),
    (2, 1, 3, 5),
    (1, 1, 1, 16),
    (1, 1, 1, 17),
    (3, 1, 1, 31),
    (1, 1, 3, 11),
    (2, 5, 41, 43),
    (1, 3, 64, 128),
];

struct Case<E> {
    planes: Planes,
    gates: Vec<E>,
    cell: Vec<E>,
    grad: Vec<E>,
}

/// Gates from all but closed to all but open.
fn case<E: Sigmoid>(shape: (usize, usize, usize, usize), noise: &mut Noise) -> Case<E> {
    let planes = Planes::from(shape);
    let mut values =
        |count, reach: f64| noise.uniform(count, -reach, reach).into_iter().map(E::from_f64).collect::<Vec<E>>();
    Case {
        planes,
        gates: values(4 * planes.len(), 6.0),
        cell: values(planes.len(), 2.0),
        grad: values(2 * planes.len(), 1.0),
    }
}

#[test]
fn hand_computed() -> crate::Result<()> {
    // Open gates where the pre-activation is 200, closed ones where it is -200, half open ones at 0; tanh(ln
    // 3 / 2) = 1/2.
    let half = 3f32.ln() / 2.0;
    #[rustfmt::skip]
    let gates = Tensor::new(&[[
        [[0f32, 200., -200.]],      // i
        [[0.,  -200., 200.]],       // f
        [[0.,   half, 5.]],         // g
        [[0.,   200., 200.]],       // o
    ]], &Device::Cpu)?;
    let cell = Tensor::new(&[[[[2.0 * half, 9., half]]]], &Device::Cpu)?;
    let LstmState { hidden, cell } = lstm_gates(&gates, &cell)?;
    assert_eq!((hidden.dims(), cell.dims()), (&[1, 1, 1, 3][..], &[1, 1, 1, 3][..]));
    let [hidden, cell] = [hidden, cell].map(|x| x.flatten_all().and_then(|x| x.to_vec1::<f32>()).expect("values"));
    assert_close(&to_f64(&cell), &[f64::from(half), 0.5, f64::from(half)], 1e-6, "cell");
    assert_close(&to_f64(&hidden), &[0.25, 0.5f64.tanh(), 0.5], 1e-6, "hidden");
    Ok(())
}

/// ```python
/// gates = torch.tensor([0.5, -1., 2., 0., -3., 1., 0.25, 4.], dtype=torch.float64).reshape(1, 4, 1, 2).requires_grad_()
/// cell = torch.tensor([-2., 0.75], dtype=torch.float64).reshape(1, 1, 1, 2).requires_grad_()
/// i, f, g, o = gates.chunk(4, 1)
/// c = f.sigmoid() * cell + i.sigmoid() * g.tanh()
/// h = o.sigmoid() * c.tanh()
/// (h * torch.tensor([1., 2.]) + c * torch.tensor([3., -1.])).sum().backward()
/// print(h.flatten().tolist(), c.flatten().tolist(), gates.grad.flatten().tolist(), cell.grad.flatten().tolist())
/// ```
#[test]
fn results_and_gradients_are_pytorchs() -> crate::Result<()> {
    let gates = Var::new(&[[[[0.5f64, -1.]], [[2., 0.]], [[-3., 1.]], [[0.25, 4.]]]], &Device::Cpu)?;
    let cell = Var::new(&[[[[-2f64, 0.75]]]], &Device::Cpu)?;
    let LstmState { hidden, cell: next } = lstm_gates(&gates, &cell)?;
    let values = |x: &Tensor| x.flatten_all().and_then(|x| x.to_vec1::<f64>()).expect("values");
    assert_close(&values(&hidden), &[-0.5526459748715558, 0.5131391816555152], 1e-15, "h");
    assert_close(&values(&next), &[-2.380975272444833, 0.5798242148098252], 1e-15, "c'");
    let gradients = (sum_weighted(&hidden, &[1., 2.])? + sum_weighted(&next, &[3., -1.])?)?.backward()?;
    let gradient = |x: &Var| values(gradients.get(x).expect("a gradient"));
    #[rustfmt::skip]
    let expected = [
        -0.7059441672309124, 0.06405191469998966, -0.6339301611561982, 0.08020471728080193,
        0.01853968631544219, 0.04831467850056743, -0.24196139448964388, 0.018458858122063864,
    ];
    assert_close(&gradient(&gates), &expected, 1e-14, "gates");
    assert_close(&gradient(&cell), &[2.6590378423717445, 0.21387924608213849], 1e-14, "cell");
    Ok(())
}

#[test]
fn every_instruction_set_equals_the_reference_forward_and_backward() {
    fn compare<E: Sigmoid>(isa: Isa, forward_tolerance: f64, gradient_tolerance: f64) {
        let mut noise = Noise::new(1);
        for shape in SHAPES {
            let Case { planes, gates, cell, grad } = case::<E>(shape, &mut noise);
            let what = format!("{isa:?} {:?} {shape:?}", E::DTYPE);
            let mut out = vec![E::from_f64(f64::NAN); 2 * planes.len()];
            cpu::forward(isa, planes, &gates, &cell, &mut out);
            let expected = reference::forward(planes, &to_f64(&gates), &to_f64(&cell));
            let (hidden, next) = out.split_at(planes.len());
            assert_close(&to_f64(hidden), &expected.hidden, forward_tolerance, &what);
            assert_close(&to_f64(next), &expected.cell, forward_tolerance, &what);

            let got = cpu::backward(isa, planes, &gates, &cell, &out, &grad);
            let (d_hidden, d_next) = grad.split_at(planes.len());
            let grad = State { hidden: to_f64(d_hidden), cell: to_f64(d_next) };
            let expected = reference::backward(planes, &to_f64(&gates), &to_f64(&cell), &grad);
            assert_close(&to_f64(&got.gates), &expected.gates, gradient_tolerance, &what);
            assert_close(&to_f64(&got.cell), &expected.cell, gradient_tolerance, &what);
        }
    }
    for isa in Isa::available() {
        compare::<f32>(isa, 1e-5, 1e-5);
    }
    compare::<f64>(Isa::Portable, 1e-14, 1e-14);
}

#[test]
fn gradients_equal_finite_differences() -> crate::Result<()> {
    let mut noise = Noise::new(2);
    for shape in SHAPES.into_iter().filter(|&(b, c, h, w)| b * c * h * w <= 100) {
        let (b, c, h, w) = shape;
        let case = case::<f64>(shape, &mut noise);
        let gates = Tensor::from_vec(case.gates, (b, 4 * c, h, w), &Device::Cpu)?;
        let cell = Tensor::from_vec(case.cell, shape, &Device::Cpu)?;
        let (d_hidden, d_next) = case.grad.split_at(case.planes.len());
        assert_gradients(&[gates.clone(), cell.clone()], &format!("{shape:?}"), |inputs| {
            let state = lstm_gates(&inputs[0], &inputs[1])?;
            Ok((sum_weighted(&state.hidden, d_hidden)? + sum_weighted(&state.cell, d_next)?)?)
        })?;
        // The last step of a recurrence uses the hidden state alone.
        assert_gradients(&[gates, cell], &format!("{shape:?}, h alone"), |inputs| {
            sum_weighted(&lstm_gates(&inputs[0], &inputs[1])?.hidden, d_hidden)
        })?;
    }
    Ok(())
}

/// Gradients through two steps, the cell and the hidden state of the first both used by the second.
#[test]
fn gradients_flow_through_steps() -> crate::Result<()> {
    let mut noise = Noise::new(3);
    let gates = Tensor::from_vec(noise.uniform(2 * 4 * 6, -2.0, 2.0), (2, 4, 2, 3), &Device::Cpu)?;
    let cell = Tensor::from_vec(noise.uniform(2 * 6, -1.0, 1.0), (2, 1, 2, 3), &Device::Cpu)?;
    let weights = noise.uniform(2 * 6, -1.0, 1.0);
    assert_gradients(&[gates, cell], "two steps", |inputs| {
        let state = lstm_gates(&inputs[0], &inputs[1])?;
        let gates = inputs[0].broadcast_add(&state.hidden)?;
        sum_weighted(&lstm_gates(&gates, &state.cell)?.hidden, &weights)
    })
}

#[test]
fn both_parts_of_the_state_are_contiguous() -> crate::Result<()> {
    let gates = Tensor::zeros((2, 12, 4, 5), DType::F32, &Device::Cpu)?;
    let state = lstm_gates(&gates, &Tensor::zeros((2, 3, 4, 5), DType::F32, &Device::Cpu)?)?;
    assert!(state.hidden.is_contiguous() && state.cell.is_contiguous());
    Ok(())
}

#[test]
fn thread_counts_give_the_same_bits() {
    let Case { planes, gates, cell, grad } = case::<f32>((2, 3, 130, 70), &mut Noise::new(4));
    let run = |threads| {
        within_pool(threads, || {
            let mut out = vec![0f32; 2 * planes.len()];
            cpu::forward(Isa::current(), planes, &gates, &cell, &mut out);
            let gradients = cpu::backward(Isa::current(), planes, &gates, &cell, &out, &grad);
            [out, gradients.gates, gradients.cell].map(|v| v.into_iter().map(f32::to_bits).collect())
        })
    };
    let one: [Vec<u32>; 3] = run(1);
    for threads in [2, 3, 5] {
        assert!(one == run(threads), "{threads} threads differ from 1");
    }
}

#[test]
fn strided_tensors_and_gradients_equal_contiguous_ones() -> crate::Result<()> {
    let mut noise = Noise::new(5);
    let gates = Var::from_vec(noise.uniform(2 * 12 * 3 * 5, -2.0, 2.0), (2, 12, 3, 5), &Device::Cpu)?;
    let cell = Var::from_vec(noise.uniform(2 * 3 * 3 * 5, -1.0, 1.0), (2, 3, 3, 5), &Device::Cpu)?;
    let factor = Tensor::from_vec(noise.uniform(2 * 3 * 5 * 3, -1.0, 1.0), (2, 3, 5, 3), &Device::Cpu)?;
    let values = |x: &Tensor| x.flatten_all().and_then(|x| x.to_vec1::<f64>()).expect("values");

    let (turned_gates, turned_cell) = (gates.transpose(2, 3)?, cell.transpose(2, 3)?);
    let got = lstm_gates(&turned_gates, &turned_cell)?;
    let expected = lstm_gates(&turned_gates.contiguous()?, &turned_cell.contiguous()?)?;
    assert_eq!([values(&got.hidden), values(&got.cell)], [values(&expected.hidden), values(&expected.cell)]);

    let state = lstm_gates(&gates, &cell)?;
    let through_view = (state.hidden.transpose(2, 3)? * &factor)?.sum_all()?.backward()?;
    let direct = (state.hidden * factor.transpose(2, 3)?.contiguous()?)?.sum_all()?.backward()?;
    for var in [&gates, &cell] {
        let [a, b] = [&through_view, &direct].map(|gradients| values(gradients.get(var).expect("a gradient")));
        assert_eq!(a, b);
    }
    Ok(())
}

#[test]
fn nan_stays_visible() {
    let planes = Planes::from((1, 1, 1, 20));
    for isa in Isa::available() {
        for gate in 0..5 {
            let (mut gates, mut cell) = (vec![0.5f32; 80], vec![0.5f32; 20]);
            if gate < 4 {
                gates[gate * 20 + 18] = f32::NAN
            } else {
                cell[18] = f32::NAN
            }
            let mut out = vec![0f32; 40];
            cpu::forward(isa, planes, &gates, &cell, &mut out);
            let nan: Vec<usize> = (0..40).filter(|&at| out[at].is_nan()).collect();
            // The output gate does not reach the cell.
            let expected = if gate == 3 { vec![18] } else { vec![18, 38] };
            assert_eq!(nan, expected, "{isa:?}, gate {gate}");
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() -> crate::Result<()> {
    let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu);
    let (gates, cell) = (zeros(&[2, 12, 4, 5])?, zeros(&[2, 3, 4, 5])?);
    let shape = |result: crate::Result<LstmState>, name: &str| match result {
        Err(Error::Shape { argument, .. }) => assert_eq!(argument, name),
        other => panic!("{name}: {other:?}"),
    };
    shape(lstm_gates(&gates, &zeros(&[3, 4, 5])?), "cell");
    shape(lstm_gates(&gates, &zeros(&[2, 3, 0, 5])?), "cell");
    for wrong in [&[2, 3, 4, 5][..], &[1, 12, 4, 5], &[2, 12, 5, 4], &[24, 4, 5]] {
        shape(lstm_gates(&zeros(wrong)?, &cell), "gates");
    }
    let wrong = lstm_gates(&gates.to_dtype(DType::F64)?, &cell);
    assert!(matches!(wrong, Err(Error::DType { argument: "gates", got: DType::F64, .. })), "{wrong:?}");
    let wrong = lstm_gates(&gates, &cell.to_dtype(DType::U8)?);
    assert!(matches!(wrong, Err(Error::DType { argument: "cell", got: DType::U8, .. })), "{wrong:?}");
    Ok(())
}

#[test]
fn gates_of_pixels_equal_the_reference() {
    use crate::rect::{Rect, RectMut};
    let mut noise = Noise::new(7);
    for (channels, rows, columns) in [(16, 1, 1), (32, 3, 5), (48, 2, 7)] {
        let Case { planes, gates, cell, .. } = case::<f32>((1, channels, rows, columns), &mut noise);
        let expected = reference::forward(planes, &to_f64(&gates), &to_f64(&cell));
        let pixels = planes.pixels();
        // For each block of 16 channels the block of every gate.
        let beside = (0..4 * planes.len()).map(|at| {
            let (pixel, value) = (at / (4 * channels), at % (4 * channels));
            let (block, gate, channel) = (value / 64, value % 64 / 16, value % 16);
            gates[(gate * channels + block * 16 + channel) * pixels + pixel]
        });
        let beside = beside.collect::<Vec<_>>();
        let transposed = |planes: &[f64]| -> Vec<f64> {
            (0..planes.len()).map(|at| planes[at % channels * pixels + at / channels]).collect()
        };
        for isa in Isa::available() {
            let mut next: Vec<f32> = transposed(&to_f64(&cell)).into_iter().map(|value| value as f32).collect();
            let mut hidden = vec![f32::NAN; next.len()];
            let gates = Rect::new(&beside, rows, columns, 4 * channels, columns * 4 * channels);
            let [cells, hiddens] = [&mut next, &mut hidden]
                .map(|values| RectMut::new(values, rows, columns, channels, columns * channels));
            super::rect::step(isa, gates, cells, hiddens);
            assert_close(&to_f64(&next), &transposed(&expected.cell), 1e-5, "cell");
            assert_close(&to_f64(&hidden), &transposed(&expected.hidden), 1e-5, "hidden");
        }
    }
}
