//! Between stored 8-bit values and linear light (IEC 61966-2-1), by tables.

use std::sync::LazyLock;

/// Fine enough that the darkest steps, where the curve is steepest (12.92 · 255 per unit), stay apart.
const STEPS: usize = 1 << 14;

static LINEAR: LazyLock<[f32; 256]> = LazyLock::new(|| std::array::from_fn(|value| decode(value as f32 / 255.0)));

static STORED: LazyLock<Vec<u8>> =
    LazyLock::new(|| (0..=STEPS).map(|step| (encode(step as f32 / STEPS as f32) * 255.0).round() as u8).collect());

/// Linear light of every stored value, 0 to 1.
pub(super) fn linear_table() -> &'static [f32; 256] {
    &LINEAR
}

/// Stored values by linear light, for [`stored`].
pub(super) fn stored_table() -> &'static [u8] {
    &STORED
}

/// The stored value of linear light, cut to 0..1.
pub(super) fn stored(table: &[u8], light: f32) -> u8 {
    table[((light.clamp(0.0, 1.0) * STEPS as f32 + 0.5) as usize).min(STEPS)]
}

/// Linear light to the stored scale, 0 to 1.
pub(super) fn encode(light: f32) -> f32 {
    if light <= 0.003_130_8 { 12.92 * light } else { 1.055 * light.powf(1.0 / 2.4) - 0.055 }
}

fn decode(value: f32) -> f32 {
    if value <= 0.040_45 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
}

#[cfg(test)]
mod tests {
    use super::{linear_table, stored, stored_table};

    #[test]
    fn every_stored_value_comes_back() {
        let (linear, table) = (linear_table(), stored_table());
        for value in 0..=255u8 {
            assert_eq!(stored(table, linear[usize::from(value)]), value);
        }
        assert_eq!((stored(table, -1.0), stored(table, 7.0), stored(table, f32::NAN)), (0, 255, 0));
    }
}
