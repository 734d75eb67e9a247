//! The gates as the formulas read, in f64: the oracle of the other implementation, forward and backward.

use crate::Planes;

/// h and c', both of the dimensions of the cell, `planes`.
#[derive(Clone, Debug)]
pub struct State {
    /// h.
    pub hidden: Vec<f64>,
    /// c'.
    pub cell: Vec<f64>,
}

/// The result of [`backward`].
#[derive(Clone, Debug)]
pub struct Gradients {
    /// For the pre-activations, `[B, 4·C, H, W]`.
    pub gates: Vec<f64>,
    /// For the previous cell, `[B, C, H, W]`.
    pub cell: Vec<f64>,
}

/// The next state from the pre-activations `[B, 4·C, H, W]` and the previous cell.
pub fn forward(planes: Planes, gates: &[f64], cell: &[f64]) -> State {
    let mut state = State { hidden: Vec::with_capacity(cell.len()), cell: Vec::with_capacity(cell.len()) };
    for (at, c) in cell.iter().enumerate() {
        let [i, f, g, o] = activated(planes, gates, at);
        let next = f * c + i * g;
        state.hidden.push(o * next.tanh());
        state.cell.push(next);
    }
    state
}

/// The gradients of the sum of h and c', weighted by the two parts of `grad`.
pub fn backward(planes: Planes, gates: &[f64], cell: &[f64], grad: &State) -> Gradients {
    let mut gradients = Gradients { gates: vec![0.0; gates.len()], cell: vec![0.0; cell.len()] };
    for (at, c) in cell.iter().enumerate() {
        let [i, f, g, o] = activated(planes, gates, at);
        let t = (f * c + i * g).tanh();
        let d_next = grad.cell[at] + grad.hidden[at] * o * (1.0 - t * t);
        let d_activated = [d_next * g, d_next * c, d_next * i, grad.hidden[at] * t];
        let slopes = [i * (1.0 - i), f * (1.0 - f), 1.0 - g * g, o * (1.0 - o)];
        for gate in 0..4 {
            gradients.gates[of_gate(planes, gate, at)] = d_activated[gate] * slopes[gate];
        }
        gradients.cell[at] = d_next * f;
    }
    gradients
}

/// i, f, g and o that belong to an element of the cell.
fn activated(planes: Planes, gates: &[f64], at: usize) -> [f64; 4] {
    let sigmoid = |a: f64| 1.0 / (1.0 + (-a).exp());
    let [i, f, g, o] = [0, 1, 2, 3].map(|gate| gates[of_gate(planes, gate, at)]);
    [sigmoid(i), sigmoid(f), g.tanh(), sigmoid(o)]
}

/// Where a gate's pre-activation for an element of the cell lies.
fn of_gate(planes: Planes, gate: usize, at: usize) -> usize {
    let of_picture = planes.channels * planes.pixels();
    let (picture, rest) = (at / of_picture, at % of_picture);
    (picture * 4 + gate) * of_picture + rest
}
