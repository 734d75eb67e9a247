use std::collections::HashSet;

use image::{Rgb, RgbImage};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

use super::*;

/// A still background with sensor noise and rain: brighter values in some frames.
fn clip(random: &mut Pcg64Mcg, width: u32, height: u32, count: usize) -> Vec<RgbImage> {
    let noise = [0, 1, 3, 255][random.random_range(0..4)];
    let rain = random.random_range(0..60);
    let background =
        RgbImage::from_fn(width, height, |_, _| Rgb([0; 3].map(|_: u8| random.random_range(0..=255 - noise))));
    let frame = |_| {
        let mut frame = background.clone();
        for pixel in frame.pixels_mut() {
            let drop: u8 = if random.random_range(0..100) < rain { random.random_range(0..100) } else { 0 };
            pixel.0 = pixel.0.map(|value| (value + random.random_range(0..=noise)).saturating_add(drop));
        }
        frame
    };
    (0..count).map(frame).collect()
}

fn options(case: usize) -> CleanOptions {
    let mut options = CleanOptions::default();
    if case & 1 != 0 {
        options.mode_of = ModeOf::Channels;
    }
    if case & 2 != 0 {
        options.mode_tie = ModeTie::Largest;
    }
    if case & 4 != 0 {
        options.percentile_tie = PercentileTie::Middle;
    }
    if case & 8 != 0 {
        options.interpolation = Interpolation::Nearest;
    }
    options
}

/// Kinds of options that [`options`] knows.
const KINDS: usize = 16;

#[test]
fn a_thousand_clips_equal_the_reference() {
    let mut random = Pcg64Mcg::seed_from_u64(20190616);
    let folder = tempfile::tempdir().unwrap();
    let (mut kinds, mut counts, mut chosen) = (HashSet::new(), HashSet::new(), HashSet::new());
    for case in 0..1000 {
        let (width, height) = (random.random_range(1..=9), random.random_range(1..=9));
        // Every number of frames up to 300, three times over and then some.
        let frames = clip(&mut random, width, height, 1 + case % 300);
        let kind = random.random_range(0..KINDS);
        let mut options = options(kind);
        if random.random_range(0..8) == 0 {
            options.percentile = Some(random.random_range(0..=100));
        }
        let expected = reference::clean_image(&frames, &options);
        if random.random_range(0..2) == 0 {
            // Some frames in memory and the others, or all, in a file.
            let kept = random.random_range(0..=frames.len() as u64);
            options.max_memory = kept * 8 * 3 * u64::from(width * height) / 7;
            options.spool_folder = Some(folder.path().to_owned());
        }
        let mut clean = CleanImage::new(options.clone());
        for frame in &frames {
            if random.random_range(0..2) == 0 {
                clean.push(frame).unwrap();
            } else {
                clean.push_owned(frame.clone()).unwrap();
            }
        }
        assert_eq!(clean.result().unwrap(), expected, "case {case}: {options:?}");
        kinds.insert(kind);
        counts.insert(frames.len());
        if options.percentile.is_none() {
            chosen.insert(expected.percentile);
        }
    }
    // No option, number of frames or percentile was left to chance.
    assert_eq!((kinds.len(), counts.len()), (KINDS, 300));
    assert!(chosen.len() > 50, "only {} percentiles were chosen", chosen.len());
}

#[test]
fn defaults_are_as_released() {
    let mut random = Pcg64Mcg::seed_from_u64(7);
    let frames = clip(&mut random, 40, 30, 33);
    let expected = reference::clean_image(&frames, &options(0));
    let mut clean = CleanImage::new(CleanOptions::default());
    frames.iter().for_each(|frame| clean.push(frame).unwrap());
    assert_eq!(clean.finish().unwrap(), expected);
}

#[test]
fn by_hand() {
    // Luma of grey is the grey itself. Sorted: 10 10 20 30 30 | 5 6 6 7 8 | 9 9 9 9 9.
    let frames = [[30, 6, 9], [10, 5, 9], [20, 7, 9], [10, 8, 9], [30, 6, 9]];
    let picture = |values: [u8; 3]| RgbImage::from_fn(3, 1, |x, _| Rgb([values[x as usize]; 3]));
    let result_of = |options| {
        let mut clean = CleanImage::new(options);
        frames.iter().for_each(|&values| clean.push(&picture(values)).unwrap());
        clean.finish().unwrap()
    };
    let result = result_of(CleanOptions::default());
    // Ranks 0..1, 1..2 and 0..4 of 5: 0..20 %, 20..40 % and 0..80 %. All three meet at 20.
    let expected: Vec<u64> =
        (0..101).map(|p| u64::from(p <= 20) + u64::from((20..=40).contains(&p)) + u64::from(p <= 80)).collect();
    assert_eq!(result.votes[..], expected);
    assert_eq!((result.percentile, result.frames), (20, 5));
    // Rank 20 · 4 / 100 = 0.8.
    assert_eq!(result.image, picture([10, 5, 9]));
    assert_eq!((result.mode_ranges.min[0], result.mode_ranges.min[20]), (2, 1));
    assert_eq!([20, 40, 80].map(|p| result.mode_ranges.max[p]), [1; 3]);

    let largest = result_of(CleanOptions { mode_tie: ModeTie::Largest, ..Default::default() });
    // 30 at ranks 3..4 instead of 10: 60..80 %, with 9, against 20..40 %, with 9.
    assert_eq!((largest.percentile, largest.votes[20], largest.votes[60]), (20, 2, 2));
    let middle = result_of(CleanOptions {
        mode_tie: ModeTie::Largest,
        percentile_tie: PercentileTie::Middle,
        ..Default::default()
    });
    assert_eq!(middle.percentile, 30);
    let nearest = result_of(CleanOptions { interpolation: Interpolation::Nearest, ..Default::default() });
    assert_eq!(nearest.image, picture([10, 6, 9]));
}

#[test]
fn one_frame_is_its_own_clean_image() {
    let mut random = Pcg64Mcg::seed_from_u64(3);
    let frame = clip(&mut random, 7, 5, 1).remove(0);
    for kind in 0..KINDS {
        let mut clean = CleanImage::new(options(kind));
        clean.push(&frame).unwrap();
        let result = clean.finish().unwrap();
        assert_eq!((result.image, result.percentile), (frame.clone(), 0), "{:?}", options(kind));
    }
}

#[test]
fn more_frames_may_follow_a_result() {
    let mut random = Pcg64Mcg::seed_from_u64(4);
    let frames = clip(&mut random, 20, 11, 30);
    // 20 of them in memory.
    let mut clean = CleanImage::new(CleanOptions { max_memory: 3 * 20 * 11 * 23, ..Default::default() });
    for (index, frame) in frames.iter().enumerate() {
        clean.push(frame).unwrap();
        let expected = reference::clean_image(&frames[..=index], &CleanOptions::default());
        assert_eq!(clean.result().unwrap(), expected, "after {} frames", index + 1);
    }
    assert_eq!(clean.frames(), 30);
}

#[test]
fn pictures_of_many_parts_and_threads() {
    let mut random = Pcg64Mcg::seed_from_u64(5);
    // Twenty parts and a bit, in bands of another length.
    let frames = clip(&mut random, 801, 400, 3);
    let expected = reference::clean_image(&frames, &CleanOptions::default());
    for (threads, max_memory) in [(1, u64::MAX), (3, u64::MAX), (2, 3_000_000), (3, 0)] {
        let mut clean = CleanImage::new(CleanOptions { max_memory, ..Default::default() });
        frames.iter().for_each(|frame| clean.push(frame).unwrap());
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        assert!(pool.install(|| clean.result()).unwrap() == expected, "{threads} threads, {max_memory} bytes");
    }
}

#[test]
fn memory_is_kept_to() {
    let mut clean = CleanImage::new(CleanOptions { max_memory: 80_000, ..Default::default() });
    for _ in 0..30 {
        clean.push(&RgbImage::new(40, 25)).unwrap();
    }
    let frames = clean.frames.as_ref().unwrap();
    // 70,000 bytes of frames, 10,000 to read bands.
    assert_eq!((frames.count(), frames.spooled()), (30, 7));
    frames
        .for_each_band(&clean.options, |band, slices| {
            assert!(band.len() <= 3 * 1024 && slices.len() == 30);
            Ok(())
        })
        .unwrap();
}

#[test]
fn the_mode_filter_takes_each_byte_on_its_own() {
    let mut random = Pcg64Mcg::seed_from_u64(6);
    let frames = clip(&mut random, 13, 9, 21);
    let mut clean = CleanImage::new(CleanOptions::default());
    frames.iter().for_each(|frame| clean.push(frame).unwrap());
    for (at, &got) in clean.mode_image().unwrap().as_raw().iter().enumerate() {
        let o: Vec<u8> = frames.iter().map(|frame| frame.as_raw()[at]).collect();
        assert_eq!(got, reference::mode(&o, ModeTie::Smallest));
    }
}

#[test]
fn progress_ends_at_one() {
    let mut clean = CleanImage::new(CleanOptions { max_memory: 0, ..Default::default() });
    clean.push(&RgbImage::new(300, 200)).unwrap();
    let shares = std::sync::Mutex::new(Vec::new());
    clean.result_with_progress(&|share| shares.lock().unwrap().push(share)).unwrap();
    let shares = shares.into_inner().unwrap();
    assert!(
        shares.len() > 2 && shares.iter().all(|share| (0.0..=1.0).contains(share)) && shares.contains(&1.0),
        "{shares:?}"
    );
}

#[test]
fn what_does_not_fit_is_refused_and_nothing_is_lost() {
    let mut clean = CleanImage::new(CleanOptions::default());
    assert!(matches!(clean.result(), Err(Error::NoFramesGiven)));
    assert!(matches!(clean.mode_image(), Err(Error::NoFramesGiven)));
    assert!(matches!(clean.push(&RgbImage::new(0, 4)), Err(Error::EmptyFrame { index: 0, width: 0, height: 4 })));
    let frame = RgbImage::from_pixel(4, 2, Rgb([9; 3]));
    clean.push(&frame).unwrap();
    let error = clean.push(&RgbImage::new(2, 4)).unwrap_err();
    assert!(error.to_string().starts_with("frame 1 is 2x4 but the first is 4x2"), "{error}");
    assert_eq!(clean.frames(), 1);
    assert_eq!(clean.finish().unwrap().image, frame);

    let options = |percentile| CleanOptions { percentile: Some(percentile), ..Default::default() };
    assert!(options(100).check().is_ok() && options(101).check().is_err());
    let mut clean = CleanImage::new(options(101));
    assert!(matches!(clean.push(&frame), Err(Error::InvalidOption { option: "percentile", .. })));
}

#[test]
fn pictures_with_more_memory_than_pixels() {
    let mut clean = CleanImage::new(CleanOptions::default());
    let frame = RgbImage::from_raw(1, 1, vec![1, 2, 3, 99, 99, 99]).unwrap();
    clean.push(&frame).unwrap();
    clean.push_owned(frame).unwrap();
    assert_eq!(clean.finish().unwrap().image.into_raw(), [1, 2, 3]);
}

#[test]
fn too_many_frames() {
    let mut clean = CleanImage::new(CleanOptions::default());
    for _ in 0..MAX_FRAMES {
        clean.push(&RgbImage::new(1, 1)).unwrap();
    }
    assert!(matches!(clean.push(&RgbImage::new(1, 1)), Err(Error::TooManyFrames { limit: MAX_FRAMES })));
    assert_eq!(clean.finish().unwrap().image, RgbImage::new(1, 1));
    let expecting = |frames| CleanImage::new(CleanOptions { expected_frames: Some(frames), ..Default::default() });
    expecting(MAX_FRAMES).push(&RgbImage::new(1, 1)).unwrap();
    let refused = expecting(MAX_FRAMES + 1).push(&RgbImage::new(1, 1));
    assert!(matches!(refused, Err(Error::TooManyFrames { limit: MAX_FRAMES })));
}

#[test]
fn space_and_folder_are_checked_before_frames_are_taken() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = CleanOptions { max_memory: 0, spool_folder: Some(folder.path().into()), ..Default::default() };
    options.expected_frames = Some(MAX_FRAMES);
    // Frames of 200 MB, of which hardly a disk takes so many.
    let side = 8192;
    let all = MAX_FRAMES as u64 * 3 * u64::from(side).pow(2);
    if fs4::available_space(folder.path()).unwrap() < all {
        let mut clean = CleanImage::new(options.clone());
        let error = clean.push(&RgbImage::new(side, side)).unwrap_err();
        assert!(matches!(error, Error::SpoolSpace { needed, .. } if needed == all), "{error}");
        assert_eq!(clean.frames(), 0);
    }
    let frame = RgbImage::new(64, 64);

    options.expected_frames = Some(2);
    let mut clean = CleanImage::new(options.clone());
    clean.push(&frame).unwrap();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "the file has a name");

    options.spool_folder = Some(folder.path().join("missing"));
    let mut clean = CleanImage::new(options);
    let error = clean.push(&frame).unwrap_err();
    assert!(matches!(error, Error::Io { action: "spool frames to", .. }), "{error}");
    assert!(matches!(clean.result(), Err(Error::NoFramesGiven)));
}
