//! How a video is to be turned before it is shown.

use ffmpeg_next as ffmpeg;
use image::metadata::Orientation;

/// What the stream's display matrix asks for.
pub(super) fn of(stream: &ffmpeg::Stream) -> Result<Orientation, String> {
    let matrix = stream.side_data().find(|data| data.kind() == ffmpeg::packet::side_data::Type::DisplayMatrix);
    matrix.map_or(Ok(Orientation::NoTransforms), |data| parse(data.data()))
}

/// Nine native 32-bit numbers, by rows (a b u; c d v; x y w): a pixel (p, q) is shown at
/// (a p + c q + x, b p + d q + y). Scale and translation do not matter here.
fn parse(bytes: &[u8]) -> Result<Orientation, String> {
    let entry = |index: usize| {
        let bytes = bytes.get(4 * index..4 * index + 4).and_then(|bytes| bytes.try_into().ok());
        bytes.map(i32::from_ne_bytes).ok_or("its display matrix is cut short")
    };
    let entries = [entry(0)?, entry(1)?, entry(3)?, entry(4)?];
    match entries.map(i32::signum) {
        [1, 0, 0, 1] => Ok(Orientation::NoTransforms),
        [0, 1, -1, 0] => Ok(Orientation::Rotate90),
        [-1, 0, 0, -1] => Ok(Orientation::Rotate180),
        [0, -1, 1, 0] => Ok(Orientation::Rotate270),
        [-1, 0, 0, 1] => Ok(Orientation::FlipHorizontal),
        [1, 0, 0, -1] => Ok(Orientation::FlipVertical),
        [0, 1, 1, 0] => Ok(Orientation::Rotate90FlipH),
        [0, -1, -1, 0] => Ok(Orientation::Rotate270FlipH),
        _ => Err(format!("its display matrix {entries:?} is no turn by quarters: turn the video upright first")),
    }
}

/// Width and height after the turn.
pub(super) fn turned((width, height): (u32, u32), orientation: Orientation) -> (u32, u32) {
    match orientation {
        Orientation::NoTransforms
        | Orientation::Rotate180
        | Orientation::FlipHorizontal
        | Orientation::FlipVertical => (width, height),
        _ => (height, width),
    }
}

#[cfg(test)]
mod tests {
    use image::{DynamicImage, GrayImage};

    use super::{parse, turned};

    /// Where the matrix shows the pixels, against where the orientation puts them.
    #[test]
    fn pixels_go_where_the_matrix_shows_them() {
        let image = GrayImage::from_fn(3, 2, |x, y| image::Luma([(10 * y + x) as u8]));
        let units = [[1, 0], [-1, 0], [0, 1], [0, -1]];
        for [a, b] in units {
            for [c, d] in units.into_iter().filter(|[c, d]| a * c + b * d == 0) {
                let matrix = [a << 16, b << 16, 0, c << 16, d << 16, 0, 7 << 16, 0, 1 << 30];
                let bytes: Vec<u8> = matrix.iter().flat_map(|entry: &i32| entry.to_ne_bytes()).collect();
                let orientation = parse(&bytes).expect("a quarter turn");
                let mut shown = DynamicImage::from(image.clone());
                shown.apply_orientation(orientation);
                let shown = shown.into_luma8();
                assert_eq!(shown.dimensions(), turned((3, 2), orientation));
                let place = |p: i32, q: i32| (a * p + c * q, b * p + d * q);
                let corners = [place(0, 0), place(2, 0), place(0, 1), place(2, 1)];
                let left = corners.iter().map(|corner| corner.0).min().expect("corners");
                let top = corners.iter().map(|corner| corner.1).min().expect("corners");
                for (p, q, pixel) in image.enumerate_pixels() {
                    let (x, y) = place(p as i32, q as i32);
                    assert_eq!(shown.get_pixel((x - left) as u32, (y - top) as u32), pixel, "{a} {b} {c} {d}");
                }
            }
        }
    }

    #[test]
    fn other_angles_are_refused() {
        let bytes: Vec<u8> =
            [46341, 46341, 0, -46341, 46341, 0, 0, 0, 1 << 30].iter().flat_map(|e: &i32| e.to_ne_bytes()).collect();
        assert!(parse(&bytes).expect_err("45 degrees").contains("46341"));
        assert!(parse(&bytes[..8]).is_err());
    }
}
