//! Between planes and rectangles of pixels with their channels side by side.

use crate::element::Element;
use crate::rect::{Rect, RectMut};
use crate::simd::{Kernel, Vector};

/// Fills `target` with the part of a picture of planes that starts at `corner` (row, column), which may lie outside;
/// pixels outside the picture and channels that are padding become 0.
pub(crate) struct Interleave<'a, 't, E> {
    pub planes: &'a [E],
    pub height: usize,
    pub width: usize,
    pub corner: (isize, isize),
    pub target: RectMut<'t, E>,
}

impl<E: Element> Kernel<E> for Interleave<'_, '_, E> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector<Elem = E>>(mut self) {
        let pixels = self.height * self.width;
        let (channels, padded) = (self.planes.len() / pixels, self.target.channels());
        let (rows, columns) = (self.target.rows() as isize, self.target.columns() as isize);
        let (top, left) = self.corner;
        // The columns of the target that lie inside the picture.
        let inside = (-left).clamp(0, columns) as usize..(self.width as isize - left).clamp(0, columns) as usize;
        for row in 0..rows {
            let target = self.target.row_mut(row as usize);
            let from = top + row;
            if from < 0 || from >= self.height as isize || inside.is_empty() {
                target.fill(E::ZERO);
                continue;
            }
            target[..inside.start * padded].fill(E::ZERO);
            target[inside.end * padded..].fill(E::ZERO);
            let target = &mut target[inside.start * padded..inside.end * padded];
            if channels < padded {
                target.fill(E::ZERO);
            }
            let start = from as usize * self.width + (left + inside.start as isize) as usize;
            interleave_row::<V>(&self.planes[start..], pixels, channels, target, padded);
        }
    }
}

/// One row: `planes` starts at its first pixel in the first plane, planes lie `pixels` apart.
#[inline(always)]
fn interleave_row<V: Vector>(
    planes: &[V::Elem],
    pixels: usize,
    channels: usize,
    target: &mut [V::Elem],
    padded: usize,
) {
    let columns = target.len() / padded;
    let (tiled_channels, tiled_columns) = (channels - channels % V::LANES, columns - columns % V::LANES);
    for channel in (0..tiled_channels).step_by(V::LANES) {
        for column in (0..tiled_columns).step_by(V::LANES) {
            let source = &planes[channel * pixels + column..];
            V::transpose(source, pixels, &mut target[column * padded + channel..], padded);
        }
    }
    for channel in 0..channels {
        let first = if channel < tiled_channels { tiled_columns } else { 0 };
        for column in first..columns {
            target[column * padded + channel] = planes[channel * pixels + column];
        }
    }
}

/// Writes a rectangle into planes of `width` columns from `column` on; `planes` are some rows of each channel.
pub(crate) struct Separate<'a, 'b, 'p, E> {
    pub source: Rect<'a, E>,
    pub planes: &'b mut [&'p mut [E]],
    pub width: usize,
    pub column: usize,
}

/// Elements of the largest tile that any vector type transposes.
const LARGEST_TILE: usize = 16 * 16;

impl<E: Element> Kernel<E> for Separate<'_, '_, '_, E> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector<Elem = E>>(self) {
        let (columns, padded) = (self.source.columns(), self.source.channels());
        let channels = self.planes.len();
        let (tiled_channels, tiled_columns) = (channels - channels % V::LANES, columns - columns % V::LANES);
        let mut tile = [E::ZERO; LARGEST_TILE];
        for row in 0..self.source.rows() {
            let source = self.source.row(row);
            let start = row * self.width + self.column;
            for channel in (0..tiled_channels).step_by(V::LANES) {
                for column in (0..tiled_columns).step_by(V::LANES) {
                    V::transpose(&source[column * padded + channel..], padded, &mut tile, V::LANES);
                    let planes = self.planes[channel..channel + V::LANES].iter_mut();
                    for (plane, values) in planes.zip(tile.chunks_exact(V::LANES)) {
                        V::load(values).store(&mut plane[start + column..][..V::LANES]);
                    }
                }
            }
            for (channel, plane) in self.planes.iter_mut().enumerate() {
                let first = if channel < tiled_channels { tiled_columns } else { 0 };
                for column in first..columns {
                    plane[start + column] = source[column * padded + channel];
                }
            }
        }
    }
}
