//! Pictures too large for a GPU's memory: bands of rows, one after the other.
//!
//! Each band is seen with [`CONTEXT`] rows more on both sides, which are cut off again. Scans and convolutions reach
//! farther, if faintly, and RRANet's first norm is over all that it sees, so the result is near the whole picture's and
//! not equal to it.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::Result;
use crate::output::{Map, ModelOutput};
use crate::pixels::RgbPixels;

/// Rows that a band sees of each neighbour; a multiple of [`GRID`].
const CONTEXT: usize = 128;

/// Bands start at multiples of this, where the coarsest attention maps have a pixel of their own.
const GRID: usize = 8;

/// Bands of no more rows see little but context, and are not halved again.
const FEWEST_ROWS: usize = 64;

/// The fewest pixels that did not fit; later frames of the same film start below it.
#[derive(Debug)]
pub(crate) struct Room(AtomicUsize);

impl Default for Room {
    /// Nothing has been too large yet.
    fn default() -> Self {
        Self(AtomicUsize::new(usize::MAX))
    }
}

/// Runs a network on a picture as a whole, or, as long as it finds no memory for that, on twice as many bands each
/// time. Also says how many there were.
pub(crate) fn run(
    pixels: &RgbPixels,
    room: &Room,
    network: impl Fn(&RgbPixels) -> Result<ModelOutput>,
) -> Result<(ModelOutput, usize)> {
    let (height, width) = (pixels.height as usize, pixels.width as usize);
    let at_once = |rows| width * bands(height, rows).map(|band| band.seen.len()).max().unwrap_or(0);
    let mut too_many = room.0.load(Ordering::Relaxed);
    let mut rows = height;
    loop {
        while rows > FEWEST_ROWS && at_once(rows) >= too_many {
            rows = halved(rows);
        }
        let output = if rows == height { network(pixels) } else { in_bands(pixels, rows, &network) };
        match output {
            Err(error) if error.is_too_large_for_device() && rows > FEWEST_ROWS => too_many = at_once(rows),
            output => {
                let output = output?;
                // Only now: had the smallest band failed too, it was not for the picture's size.
                room.0.fetch_min(too_many, Ordering::Relaxed);
                return Ok((output, height.div_ceil(rows)));
            }
        }
    }
}

/// A network that runs once more, after `release`, where memory did not suffice.
pub(crate) fn tried_twice(
    network: impl Fn(&RgbPixels) -> Result<ModelOutput>,
    release: impl Fn(),
) -> impl Fn(&RgbPixels) -> Result<ModelOutput> {
    move |pixels| match network(pixels) {
        Err(error) if error.is_out_of_memory() => {
            release();
            network(pixels)
        }
        done => done,
    }
}

/// Rows of a picture that are computed together, and those that the network sees of it for that.
struct Band {
    rows: Range<usize>,
    seen: Range<usize>,
}

fn bands(height: usize, rows: usize) -> impl Iterator<Item = Band> {
    (0..height).step_by(rows).map(move |first| {
        let end = (first + rows).min(height);
        Band { rows: first..end, seen: first.saturating_sub(CONTEXT)..(end + CONTEXT).min(height) }
    })
}

/// Half of more than [`FEWEST_ROWS`], on the grid.
fn halved(rows: usize) -> usize {
    rows.div_ceil(2).next_multiple_of(GRID)
}

fn in_bands(
    pixels: &RgbPixels,
    rows: usize,
    network: impl Fn(&RgbPixels) -> Result<ModelOutput>,
) -> Result<ModelOutput> {
    let mut whole = ModelOutput { clean: Vec::with_capacity(pixels.values.len()), maps: Vec::new() };
    for Band { rows, seen } in bands(pixels.height as usize, rows) {
        let ModelOutput { clean, maps } = network(&pixels.rows(seen.clone()))?;
        let row = 3 * pixels.width as usize;
        whole.clean.extend(&clean[(rows.start - seen.start) * row..(rows.end - seen.start) * row]);
        if whole.maps.is_empty() {
            whole.maps = maps.iter().map(|map| Map { width: map.width, values: Vec::new() }).collect();
        }
        // The last map is as large as the picture, each one before it half as large, rounded up.
        for (k, (map, whole)) in maps.iter().zip(&mut whole.maps).rev().enumerate() {
            let of_map = |row: usize| (row - seen.start).div_ceil(1 << k) * map.width;
            whole.values.extend(&map.values[of_map(rows.start)..of_map(rows.end)]);
        }
    }
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::{Error, Precision};

    /// A picture whose values name their places.
    fn picture(width: u32, height: u32) -> RgbPixels {
        RgbPixels { width, height, values: (0..3 * width * height).map(|value| value as f32).collect() }
    }

    /// A network that sees each pixel alone, with maps of three sizes: the first value of every block.
    fn local(pixels: &RgbPixels) -> ModelOutput {
        let (width, height) = (pixels.width as usize, pixels.height as usize);
        let map = |step: usize| {
            let places = (0..height).step_by(step).flat_map(|y| (0..width).step_by(step).map(move |x| y * width + x));
            Map { width: width.div_ceil(step), values: places.map(|place| pixels.values[3 * place]).collect() }
        };
        ModelOutput { maps: vec![map(4), map(2), map(1)], clean: pixels.values.iter().map(|value| -value).collect() }
    }

    fn out_of_memory() -> Error {
        let shapes = String::new();
        derain_ops::Error::OutOfDeviceMemory { op: "irnn", device: "cuda:0".into(), shapes }.into()
    }

    #[test]
    fn what_sees_no_neighbours_is_the_same_in_bands() {
        for (width, height, most_rows) in [(5, 700, 400), (3, 521, 330), (4, 1030, 328), (2, 400, 328)] {
            let pixels = picture(width, height);
            let calls = Cell::new(0);
            let room = Room::default();
            let once = |band: &RgbPixels| {
                calls.set(calls.get() + 1);
                if band.height > most_rows { Err(out_of_memory()) } else { Ok(local(band)) }
            };
            let (output, bands) = run(&pixels, &room, once).unwrap();
            let expected = local(&pixels);
            assert!(bands > 1 && calls.get() > bands, "{bands} bands, {} calls", calls.get());
            assert!(output.clean == expected.clean);
            for (map, expected) in output.maps.iter().zip(&expected.maps) {
                assert!(map.width == expected.width && map.values == expected.values, "{width}x{height}");
            }
            // The next picture of this size is cut alike at once.
            calls.set(0);
            let (again, bands_again) = run(&pixels, &room, once).unwrap();
            assert!(again.clean == output.clean && bands_again == bands && calls.get() == bands);
        }
    }

    #[test]
    fn what_a_device_had_memory_for_is_not_cut() {
        const MOST: usize = 3_500;
        let room = Room::default();
        let network = |band: &RgbPixels| match (band.width * band.height) as usize > MOST {
            true => Err(out_of_memory()),
            false => Ok(local(band)),
        };
        let bands = |width, height| run(&picture(width, height), &room, network).map(|(_, bands)| bands);
        assert_eq!(bands(3, 1500).unwrap(), 2); // 878 rows at once, 2634 pixels
        assert_eq!(bands(2, 1300).unwrap(), 1);
        assert!(bands(100, 800).is_err()); // nor any band of it
        assert_eq!(bands(7, 500).unwrap(), 1);
    }

    #[test]
    fn what_fits_once_memory_is_released_is_not_cut() {
        let (held, releases) = (Cell::new(true), Cell::new(0));
        let network = |band: &RgbPixels| match held.get() || band.height > 900 {
            true => Err(out_of_memory()),
            false => Ok(local(band)),
        };
        let release = || {
            held.set(false);
            releases.set(releases.get() + 1);
        };
        let bands = |height| run(&picture(2, height), &Room::default(), tried_twice(network, release)).unwrap().1;
        assert_eq!((bands(800), releases.get()), (1, 1));
        assert_eq!((bands(1300), releases.get()), (2, 2));
    }

    #[test]
    fn gives_up_where_bands_are_all_context_and_at_other_errors() {
        let error = run(&picture(2, 3000), &Room::default(), |_| Err(out_of_memory())).err();
        assert!(error.is_some_and(|error| error.is_too_large_for_device()));
        let calls = Cell::new(0);
        let error = run(&picture(2, 3000), &Room::default(), |_| {
            calls.set(calls.get() + 1);
            Err(Error::NotFiniteResult { x: 0, y: 0, precision: Precision::F32 })
        });
        assert!(matches!(error, Err(Error::NotFiniteResult { .. })) && calls.get() == 1);
    }

    /// What docs/gpu.md says of bands, on the CPU.
    #[test]
    #[cfg(feature = "pretrained")]
    fn networks_make_nearly_the_same_of_bands() {
        use candle_core::Device;

        use crate::Network;
        use crate::engine::{Progress, Storage};
        use crate::model::Model;
        use crate::weights::WeightFile;

        let pixels = RgbPixels {
            width: 96,
            height: 640,
            values: (0..640)
                .flat_map(|y| (0..96).map(move |x| (x, y)))
                .flat_map(|(x, y)| {
                    let wet = (x + y / 4) % 19 < 2 && y / 24 % 3 == 0;
                    [0.2, 0.3, 0.4]
                        .map(|value| value + x as f32 / 400.0 + y as f32 / 3000.0 + f32::from(u8::from(wet)) * 0.3)
                })
                .collect(),
        };
        for (network, most) in [(Network::SpaNet, 0.04), (Network::RraNet, 0.06)] {
            let file = WeightFile::parse(network.pretrained_file()).unwrap();
            let model = Model::from_file(network, &file, &(&Device::Cpu).into()).unwrap();
            let whole = |pixels: &RgbPixels| {
                Ok(model.run(pixels.rows(0..pixels.height as usize), Storage::Memory, Progress::SILENT)?.0)
            };
            let (in_bands, bands) = run(&pixels, &Room::default(), |band| match band.height > 500 {
                true => Err(out_of_memory()),
                false => whole(band),
            })
            .unwrap();
            let expected = whole(&pixels).unwrap();
            let differences = in_bands.clean.iter().zip(&expected.clean).map(|(a, b)| (a - b).abs());
            let (largest, sum) = differences.fold((0.0_f32, 0.0), |(most, sum), d| (most.max(d), sum + d));
            let mean = sum / expected.clean.len() as f32;
            println!("{network}: {bands} bands, {largest} at most, {mean} on average");
            assert!(bands == 2 && largest < most && mean < 0.001, "{network}: {bands} bands, {largest}, {mean}");
        }
    }
}
