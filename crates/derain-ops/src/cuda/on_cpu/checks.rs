//! What the tests of every operation's kernels ask: results near the reference's, the same bits in every order of
//! threads, and mistakes that are noticed.

use candle_core::DType;

use super::{Contents, Id, ORDERS, Program, Recorder};
use crate::cuda::Source;
use crate::testing::assert_close;

/// Tolerances relative to the largest value, forward and for gradients. The 16-bit types round what they store: half of
/// 2^-10 and 2^-7.
pub(crate) const TOLERANCES: [(DType, f64, f64); 4] =
    [(DType::F64, 1e-13, 1e-12), (DType::F32, 1e-5, 1e-4), (DType::F16, 1e-3, 1e-3), (DType::BF16, 8e-3, 8e-3)];

/// Recorded launches and what they must give.
pub(crate) struct Check {
    what: String,
    recorder: Recorder,
    results: Vec<Expected>,
}

struct Expected {
    name: &'static str,
    buffer: Id,
    values: Vec<f64>,
    tolerance: f64,
}

impl Check {
    /// Nothing expected so far of what was recorded; `what` is for messages.
    pub(crate) fn new(what: String, recorder: Recorder) -> Self {
        Self { what, recorder, results: Vec::new() }
    }

    /// The same with a buffer that must hold these values.
    pub(crate) fn expect(mut self, name: &'static str, buffer: Id, values: Vec<f64>, tolerance: f64) -> Self {
        self.results.push(Expected { name, buffer, values, tolerance });
        self
    }

    /// Asserts that every order of threads gives what is expected, with the same bits.
    pub(crate) fn assert(&self, program: &Program) {
        let what = &self.what;
        let run = |order| program.run(&self.recorder, order).unwrap_or_else(|error| panic!("{what}: {error}"));
        let runs = ORDERS.map(run);
        assert!(runs.iter().all(|run| run.has_bits_of(&runs[0])), "{what}: the order of threads shows");
        for Expected { name, buffer, values, tolerance } in &self.results {
            assert_close(runs[0].of(buffer), values, *tolerance, &format!("{what} {name}"));
        }
    }

    /// Whether some order of threads gives something else, or an error.
    fn fails(&self, program: &Program) -> bool {
        let wrong = |contents: Contents| {
            self.results.iter().any(|expected| far(contents.of(&expected.buffer), &expected.values, expected.tolerance))
        };
        ORDERS.into_iter().any(|order| program.run(&self.recorder, order).map_or(true, wrong))
    }
}

/// Asserts that the source passes all checks, and that each of these mistakes fails some: (what is changed, its which
/// occurrence, to what).
pub(crate) fn assert_noticed(source: &Source, dtype: DType, mutants: &[(&str, usize, &str)], checks: &[Check]) {
    let Some(program) = Program::compile(source, dtype) else { return };
    checks.iter().for_each(|check| check.assert(&program));
    for &(original, nth, changed) in mutants {
        let Some(mutant) = Program::compile_mutant(source, dtype, original, nth, changed) else { return };
        let noticed = checks.iter().any(|check| check.fails(&mutant));
        assert!(noticed, "{}: {changed:?} for number {nth} of {original:?} went unnoticed", source.name);
    }
}

/// The opposite of [`assert_close`].
pub(crate) fn far(got: &[f64], expected: &[f64], tolerance: f64) -> bool {
    let largest = expected.iter().fold(1e-3f64, |largest, value| largest.max(value.abs()));
    let near = |(got, expected): (&f64, &f64)| (got - expected).abs() <= tolerance * largest;
    !got.iter().zip(expected).all(near)
}
