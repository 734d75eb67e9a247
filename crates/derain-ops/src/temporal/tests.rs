use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

use super::{MAX_FRAMES, Mode, ModeTie, Rank, Values, at_rank, at_rank_with, modes, modes_with, reference};
use crate::{Error, Isa};

/// Values of one kind of scene: few different ones make ties and long runs, 256 make short ones.
fn frames(random: &mut Pcg64Mcg, count: usize, length: usize, spread: u8) -> Vec<Vec<u8>> {
    let base: Vec<u8> = (0..length).map(|_| random.random_range(0..=255 - spread)).collect();
    let frame = |_| base.iter().map(|base| base + random.random_range(0..=spread)).collect();
    (0..count).map(frame).collect()
}

fn slices(frames: &[Vec<u8>]) -> Vec<&[u8]> {
    frames.iter().map(Vec::as_slice).collect()
}

/// Frame counts around powers of two and around what a byte counts.
const COUNTS: [usize; 14] = [1, 2, 3, 4, 5, 20, 31, 64, 100, 127, 254, 255, 256, 300];
/// Lengths around a block of lanes.
const LENGTHS: [usize; 5] = [3, 63, 189, 192, 400 * 3];

#[test]
fn every_instruction_set_equals_the_reference() {
    let mut random = Pcg64Mcg::seed_from_u64(1);
    for (case, &count) in COUNTS.iter().enumerate() {
        let length = LENGTHS[case % LENGTHS.len()];
        for spread in [0, 1, 6, 255] {
            let frames = frames(&mut random, count, length, spread);
            let frames = slices(&frames);
            for isa in Isa::available() {
                for values in [Values::Luma, Values::Bytes] {
                    for tie in [ModeTie::Smallest, ModeTie::Largest] {
                        let mut got = vec![Mode::default(); length / values.bytes()];
                        let mut expected = got.clone();
                        modes_with(isa, &frames, values, tie, &mut got);
                        reference::modes(&frames, values, tie, &mut expected);
                        assert!(got == expected, "{isa:?} {values:?} {tie:?} {count} frames, spread {spread}");
                    }
                }
                for below in [0, count / 3, count - 1] {
                    let rank =
                        Rank { below, hundredths: if below < count - 1 { random.random_range(0..100) } else { 0 } };
                    let (mut got, mut expected) = (vec![0; length], vec![0; length]);
                    at_rank_with(isa, &frames, rank, &mut got);
                    reference::at_rank(&frames, rank, &mut expected);
                    assert!(got == expected, "{isa:?} {rank:?} {count} frames, spread {spread}");
                }
            }
        }
    }
}

#[test]
fn more_frames_than_a_gathering_holds() {
    let mut random = Pcg64Mcg::seed_from_u64(2);
    let frames = frames(&mut random, 5000, 3, 40);
    let frames = slices(&frames);
    let (mut got, mut expected) = ([Mode::default(); 3], [Mode::default(); 3]);
    modes(&frames, Values::Bytes, ModeTie::Smallest, &mut got).unwrap();
    reference::modes(&frames, Values::Bytes, ModeTie::Smallest, &mut expected);
    assert_eq!(got, expected);
    let rank = Rank { below: 4321, hundredths: 99 };
    let (mut got, mut expected) = ([0; 3], [0; 3]);
    at_rank(&frames, rank, &mut got).unwrap();
    reference::at_rank(&frames, rank, &mut expected);
    assert_eq!(got, expected);
}

#[test]
fn luma_is_exact_for_every_colour() {
    // All of red and green, 17 values of blue: the sixteenths and the last.
    let blues: Vec<u8> = (0..=255).step_by(15).collect();
    for r in 0..=255 {
        let pixels: Vec<u8> = (0..=255).flat_map(|g| blues.iter().flat_map(move |&b| [r, g, b])).collect();
        let mut got = vec![Mode::default(); pixels.len() / 3];
        modes(&[&pixels], Values::Luma, ModeTie::Smallest, &mut got).unwrap();
        for (pixel, got) in pixels.chunks(3).zip(got) {
            let [r, g, b] = [0, 1, 2].map(|channel| u32::from(pixel[channel]));
            assert_eq!(u32::from(got.value), (299 * r + 587 * g + 114 * b) / 1000, "{pixel:?}");
        }
    }
}

#[test]
fn wrong_sizes_are_errors() {
    let mut out = [Mode::default(); 2];
    let none: Error = modes(&[], Values::Bytes, ModeTie::Smallest, &mut out).unwrap_err();
    assert!(none.to_string().contains("number of frames"), "{none}");
    let many = vec![&[0u8; 2][..]; MAX_FRAMES + 1];
    assert!(matches!(at_rank(&many, Rank::default(), &mut [0; 2]), Err(Error::Option { .. })));
    let short = modes(&[&[0; 6], &[0; 5]], Values::Luma, ModeTie::Smallest, &mut out);
    assert!(matches!(short, Err(Error::Length { expected: 6, got: 5, .. })), "{short:?}");
    for rank in [Rank { below: 2, hundredths: 0 }, Rank { below: 1, hundredths: 1 }, Rank { below: 0, hundredths: 100 }]
    {
        let beyond = at_rank(&[&[0; 2], &[0; 2]], rank, &mut [0; 2]);
        assert!(matches!(beyond, Err(Error::Option { option: "rank", .. })), "{beyond:?}");
    }
}
