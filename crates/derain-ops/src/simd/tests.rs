use super::{Isa, Kernel, Vector};
use crate::element::Element;

/// Every method of the trait on every slice length around a vector, returned as one list to compare.
struct Probe<'a, E>(&'a [E]);

impl<E: Element> Kernel<E> for Probe<'_, E> {
    type Output = Vec<E>;

    fn run<V: Vector<Elem = E>>(self) -> Vec<E> {
        let mut all = Vec::new();
        for length in 0..=16usize {
            let x = &self.0[..length];
            let y = &self.0[16..16 + length];
            let mut out = vec![E::ZERO; length];
            for (x, (y, out)) in x.chunks(V::LANES).zip(y.chunks(V::LANES).zip(out.chunks_mut(V::LANES))) {
                let (x, y) = (V::load(x), V::load(y));
                let v = x.mul_add(y, V::splat(E::from_f64(0.5))).add(x.relu()).mul(y.where_positive(x));
                v.store(out);
            }
            all.extend(out);
        }
        all
    }
}

#[test]
fn instruction_sets_agree_at_every_tail() {
    let x: Vec<f32> = (0..32).map(|i| ((i * 37 % 19) as f32 - 9.0) / 8.0).collect();
    let x64: Vec<f64> = x.iter().map(|&x| x.into()).collect();
    let expected = f64::run(Isa::Portable, Probe(&x64));
    for isa in Isa::available() {
        for (got, expected) in f32::run(isa, Probe(&x)).iter().zip(&expected) {
            assert!((f64::from(*got) - expected).abs() < 1e-6, "{isa:?}: {got} for {expected}");
        }
    }
}

struct Transpose<'a>(&'a [f32]);

impl Kernel<f32> for Transpose<'_> {
    type Output = (usize, Vec<f32>);

    fn run<V: Vector<Elem = f32>>(self) -> Self::Output {
        let mut out = vec![-1.0; 20 * V::LANES];
        V::transpose(self.0, 23, &mut out, 20);
        (V::LANES, out)
    }
}

#[test]
fn transpose_moves_every_element_and_touches_no_other() {
    let source: Vec<f32> = (0..23 * 16).map(|i| i as f32).collect();
    for isa in Isa::available() {
        let (lanes, out) = f32::run(isa, Transpose(&source));
        for (at, &got) in out.iter().enumerate() {
            let (row, column) = (at / 20, at % 20);
            let expected = if column < lanes { source[column * 23 + row] } else { -1.0 };
            assert_eq!(got, expected, "{isa:?} row {row} column {column}");
        }
    }
}

struct Nan;

impl Kernel<f32> for Nan {
    type Output = [f32; 16];

    fn run<V: Vector<Elem = f32>>(self) -> [f32; 16] {
        let mut out = [0.0; 16];
        for out in out.chunks_mut(V::LANES) {
            V::splat(f32::NAN).relu().store(out);
        }
        out
    }
}

#[test]
fn relu_keeps_nan() {
    for isa in Isa::available() {
        assert!(f32::run(isa, Nan).iter().all(|x| x.is_nan()), "{isa:?}");
    }
}
