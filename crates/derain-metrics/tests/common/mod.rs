//! Pictures made by an integer formula, so that Python makes the same.
#![allow(dead_code, reason = "each test uses its part")]

use ndarray::Array3;

/// Two similar pictures `[H, W, C]` of samples in `0..2^bits`:
///
/// ```python
/// def pictures(h, w, channels, bits):
///     r, c, k = np.indices((h, w, channels), dtype=np.int64)
///     a = (37 * r + 101 * c + 53 * k + 11 * (r * c % 97) + r * r * c % 29 * 1021) % 2**bits
///     step = 2 ** (bits - 8)
///     b = np.clip(a + ((13 * r + 7 * c + 5 * k) % 41 - 20) * step, 0, 2**bits - 1)
///     return a, b
/// ```
pub(crate) fn pictures(height: usize, width: usize, channels: usize, bits: u32) -> (Array3<u16>, Array3<u16>) {
    let (count, step) = (1 << bits, 1 << (bits - 8));
    let a = |r: i64, c: i64, k: i64| (37 * r + 101 * c + 53 * k + 11 * (r * c % 97) + r * r * c % 29 * 1021) % count;
    let b = |r: i64, c: i64, k: i64| (a(r, c, k) + ((13 * r + 7 * c + 5 * k) % 41 - 20) * step).clamp(0, count - 1);
    let make = |sample: &dyn Fn(i64, i64, i64) -> i64| {
        Array3::from_shape_fn((height, width, channels), |(r, c, k)| sample(r as i64, c as i64, k as i64) as u16)
    };
    (make(&a), make(&b))
}

/// The same in 0..1, from 8 bits.
pub(crate) fn float_pictures(height: usize, width: usize, channels: usize) -> (Array3<f64>, Array3<f64>) {
    let (a, b) = pictures(height, width, channels, 8);
    (a.mapv(|sample| f64::from(sample) / 255.0), b.mapv(|sample| f64::from(sample) / 255.0))
}

#[track_caller]
pub(crate) fn assert_close(actual: f64, expected: f64, tolerance: f64) {
    assert!((actual - expected).abs() <= tolerance, "{actual} is not {expected}");
}
