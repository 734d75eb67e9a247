//! BT.601 luma of limited range, as MATLAB's `rgb2ycbcr` computes it on integer pictures.
//!
//! For 8 bits, `Y = round(16 + (65.481 R + 128.553 G + 24.966 B) / 255)`, from 16 (black) to 235 (white). For 16 bits
//! R, G, B and the offset are 257 times as large, so Y runs from 4112 to 60395. Computed in integers, halves rounded
//! up: exact, where floating point leaves ties to rounding noise.

use ndarray::{Array3, ArrayView3, Axis, Zip};

/// Weights of R, G and B in thousandths; over 255 000 they take full range to 219/255 of it.
const WEIGHTS: [u64; 3] = [65_481, 128_553, 24_966];
const DIVISOR: u64 = 255_000;

/// Luma `[H, W, 1]` of an 8-bit RGB picture `[H, W, 3]`.
pub(crate) fn luma_8_bit(rgb: &ArrayView3<'_, u8>) -> Array3<u8> {
    // At most 235.
    per_pixel(rgb, |sum| (16 + divide_rounding(sum)) as u8)
}

/// Luma `[H, W, 1]` of a 16-bit RGB picture `[H, W, 3]`.
pub(crate) fn luma_16_bit(rgb: &ArrayView3<'_, u16>) -> Array3<u16> {
    // At most 60395.
    per_pixel(rgb, |sum| (16 * 257 + divide_rounding(sum)) as u16)
}

fn divide_rounding(sum: u64) -> u64 {
    (sum + DIVISOR / 2) / DIVISOR
}

fn per_pixel<A: Copy + Into<u64>, B>(rgb: &ArrayView3<'_, A>, luma: impl Fn(u64) -> B) -> Array3<B> {
    let weighted = |pixel: ndarray::ArrayView1<'_, A>| {
        luma(pixel.iter().zip(WEIGHTS).map(|(&sample, weight)| weight * sample.into()).sum())
    };
    Zip::from(rgb.lanes(Axis(2))).map_collect(weighted).insert_axis(Axis(2))
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;

    // >>> import numpy as np
    // >>> p = np.array([[0,0,0],[255,255,255],[255,0,0],[0,255,0],[0,0,255],[1,2,3],[200,100,50],[17,203,94],[128,128,128]])
    // >>> w = np.array([65.481, 128.553, 24.966])
    // >>> np.floor(p @ w / 255 + 16 + .5).astype(int)
    // array([ 16, 235,  81, 145,  41,  18, 123, 132, 126])
    // >>> p = np.array([[0,0,0],[65535,65535,65535],[65535,0,0],[0,65535,0],[0,0,65535],[1,2,3],[51400,25700,12850],[4321,54321,12345]])
    // >>> np.floor(257 * (p @ w / 65535 + 16) + .5).astype(int)
    // array([ 4112, 60395, 20941, 37150, 10528,  4114, 31525, 33815])
    #[test]
    fn is_as_rgb2ycbcr_on_integers() {
        let pixels = [
            [0, 0, 0],
            [255, 255, 255],
            [255, 0, 0],
            [0, 255, 0],
            [0, 0, 255],
            [1, 2, 3],
            [200, 100, 50],
            [17, 203, 94],
            [128; 3],
        ];
        let rgb = Array3::from_shape_fn((pixels.len(), 1, 3), |(i, _, c)| pixels[i][c]);
        assert_eq!(luma_8_bit(&rgb.view()).into_raw_vec_and_offset().0, [16, 235, 81, 145, 41, 18, 123, 132, 126]);

        let pixels = [
            [0, 0, 0],
            [65535, 65535, 65535],
            [65535, 0, 0],
            [0, 65535, 0],
            [0, 0, 65535],
            [1, 2, 3],
            [51400, 25700, 12850],
            [4321, 54321, 12345],
        ];
        let rgb = Array3::from_shape_fn((2, 4, 3), |(row, column, c)| pixels[4 * row + column][c]);
        assert_eq!(
            luma_16_bit(&rgb.view()).into_raw_vec_and_offset().0,
            [4112, 60395, 20941, 37150, 10528, 4114, 31525, 33815]
        );
    }

    /// 16 + (128.553 · 204 + 24.966 · 68) / 255 is 125.5, and so on: 194 of the 8-bit colours are ties.
    #[test]
    fn rounds_halves_up() {
        let ties = ndarray::array![[[0_u8, 204, 68]], [[2, 44, 141]], [[1, 173, 225]]];
        assert_eq!(luma_8_bit(&ties.view()), ndarray::array![[[126]], [[53]], [[126]]]);
    }
}
