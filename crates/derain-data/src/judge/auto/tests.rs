use image::{Rgb, RgbImage, imageops};

use super::{AutoJudge, Measures, Thresholds, estimate_density};
use crate::judge::{Density, Judged, Schedule, Verdict, judged_clean_image};
use crate::synthesis::{Backdrop, RainOptions, RainScene};
use crate::{CleanImage, CleanOptions, Error, FrameSource};

struct Frames(Vec<RgbImage>, usize);

impl FrameSource for Frames {
    fn next_frame(&mut self) -> Result<Option<RgbImage>, Error> {
        self.1 += 1;
        Ok(self.0.get(self.1 - 1).cloned())
    }
    fn size(&self) -> (u32, u32) {
        self.0.first().map_or((0, 0), RgbImage::dimensions)
    }
    fn expected(&self) -> Option<usize> {
        Some(self.0.len())
    }
}

/// Something to see everywhere, at all sizes.
fn scene(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let wave = 30.0 * (x as f32 / 9.0).sin() + 25.0 * (y as f32 / 7.0 + x as f32 / 31.0).cos();
        let block = if (x / 24 + y / 20) % 2 == 0 { 25.0 } else { 0.0 };
        Rgb([90.0, 80.0, 70.0].map(|level| (level + wave + block) as u8))
    })
}

fn rain(clean: &RgbImage, options: &RainOptions, count: u64) -> Frames {
    let backdrop = Backdrop::new(clean, options).unwrap();
    let scene = RainScene::new(options, clean.width(), clean.height(), 3).unwrap();
    Frames((0..count).map(|frame| backdrop.apply(&scene.frame(frame)).unwrap().rainy).collect(), 0)
}

fn judge(mut frames: Frames, schedule: &Schedule) -> (Judged, Measures) {
    let mut judge = AutoJudge::default();
    let judged = judged_clean_image(&mut frames, "clip", &CleanOptions::default(), &mut judge, schedule).unwrap();
    (judged, judge.last().unwrap().clone())
}

fn reason(judged: &Judged) -> &str {
    match &judged.verdict {
        Verdict::Reject { reason } => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn rain_is_accepted_after_enough_frames() {
    let clean = scene(160, 120);
    let options = RainOptions { noise: 1.0, ..RainOptions::preset(Density::Normal) };
    let schedule = Schedule { first: 4, growth: vec![4, 8, 16], most: 64, fewest: 3 };
    let (judged, measures) = judge(rain(&clean, &options, 64), &schedule);
    assert_eq!(judged.verdict, Verdict::Accept, "{measures:?}");
    assert!(judged.clean.frames > 4, "{}", judged.clean.frames);
    let found = crate::synthesis::psnr(&judged.clean.image, &clean).unwrap();
    assert!(found > 40.0, "{found}");
}

#[test]
fn too_few_frames_are_refused_with_the_reason() {
    let frames = || rain(&scene(160, 120), &RainOptions::preset(Density::Dense), 6);
    let (judged, measures) = judge(frames(), &Schedule::fixed(6));
    assert!(reason(&judged).starts_with("after 6 frames streaks are left"), "{}", reason(&judged));
    assert!(measures.streaks > Thresholds::default().streaks, "{measures:?}");
    // The same again, to the bit.
    assert_eq!(judge(frames(), &Schedule::fixed(6)).1, measures);
}

#[test]
fn a_still_scene_without_rain_is_accepted_at_once() {
    for (width, height) in [(1, 1), (2, 1), (3, 3), (1, 40), (37, 23), (64, 48)] {
        let clean = scene(width, height);
        let (judged, measures) = judge(Frames(vec![clean.clone(); 5], 0), &Schedule::fixed(5));
        assert_eq!((&judged.verdict, &judged.clean.image), (&Verdict::Accept, &clean), "{width}x{height}");
        assert_eq!(measures, Measures::default());
    }
}

#[test]
fn moving_scenes_and_flicker_are_rejected() {
    let wide = scene(260, 120);
    let pan = (0..12).map(|step| imageops::crop_imm(&wide, 5 * step, 0, 160, 120).to_image()).collect();
    let (judged, _) = judge(Frames(pan, 0), &Schedule::fixed(12));
    assert!(reason(&judged).contains("move"), "{}", reason(&judged));

    let still = scene(160, 120);
    let light = |step: usize| {
        let mut frame = still.clone();
        frame.iter_mut().for_each(|value| *value += if step.is_multiple_of(3) { 40 } else { 0 });
        frame
    };
    let (judged, measures) = judge(Frames((0..12).map(light).collect(), 0), &Schedule::fixed(12));
    assert!(measures.unsteady > 0.9 && reason(&judged).contains("flickers"), "{}", reason(&judged));
}

#[test]
fn measures_are_of_this_clip() {
    let mut clip = CleanImage::new(CleanOptions::default());
    let image = scene(8, 6);
    assert!(matches!(Measures::of(&image, 50, &clip), Err(Error::NoFramesGiven)));
    clip.push(&image).unwrap();
    assert!(matches!(Measures::of(&image, 101, &clip), Err(Error::InvalidOption { option: "percentile", .. })));
    assert!(matches!(Measures::of(&scene(6, 8), 50, &clip), Err(Error::SizesDiffer { .. })));
    assert_eq!(Measures::of(&image, 100, &clip).unwrap(), Measures::default());
}

#[test]
fn thresholds_are_told_apart() {
    let thresholds = Thresholds::default();
    let none = Measures::default();
    assert_eq!(thresholds.verdict(&none), Verdict::Accept);
    for faulty in [
        Measures { change: 0.9, ..none.clone() },
        Measures { changed: 0.02, ..none.clone() },
        Measures { streaks: 0.5, ..none.clone() },
        Measures { unsure: 0.02, ..none.clone() },
    ] {
        assert_eq!(thresholds.verdict(&faulty), Verdict::MoreFrames, "{faulty:?}");
    }
    let moved = Measures { motion: Some("it moves".into()), streaks: 9.0, ..none };
    assert_eq!(thresholds.verdict(&moved), Verdict::Reject { reason: "it moves".into() });
    let json = serde_json::to_string(&thresholds).unwrap();
    assert_eq!(serde_json::from_str::<Thresholds>(&json).unwrap(), thresholds);
}

#[test]
fn density_is_that_of_the_presets() {
    let clean = scene(240, 160);
    let estimate = |frames: &mut Frames| estimate_density(frames).unwrap();
    let mut last = 0.0;
    for density in Density::ALL {
        // Strong enough that the densest is seen to be dense.
        let options = RainOptions { opacity: 0.6, ..RainOptions::preset(density) };
        let found = estimate(&mut rain(&clean, &options, 25));
        assert!(found.density == density && found.frames == 20 && found.covered > last, "{density:?}: {found:?}");
        last = found.covered;
    }
    for (width, height, count) in [(1, 1, 1), (5, 1, 3), (33, 17, 20)] {
        let found = estimate(&mut Frames(vec![scene(width, height); count], 0));
        assert_eq!((found.density, found.covered, found.frames), (Density::Sparse, 0.0, count));
    }
    assert!(matches!(estimate_density(&mut Frames(Vec::new(), 0)), Err(Error::NoFramesGiven)));
    let mixed = &mut Frames(vec![scene(5, 4), scene(4, 5)], 0);
    assert!(matches!(estimate_density(mixed), Err(Error::FrameSize { frame: 1, .. })));
}

#[test]
fn limits_that_are_no_numbers_let_nothing_pass() {
    let clean = Measures {
        motion: None,
        unsteady: 0.0,
        change: 0.0,
        changed: 0.0,
        streaks: 0.0,
        unsure: 0.0,
        ..judge(rain(&scene(60, 40), &RainOptions::default(), 6), &Schedule::fixed(6)).1
    };
    let limits = Thresholds::default();
    assert_eq!(limits.verdict(&clean), Verdict::Accept);
    let none = f32::NAN;
    for limits in [
        Thresholds { change: none, ..limits.clone() },
        Thresholds { changed: none, ..limits.clone() },
        Thresholds { streaks: none, ..limits.clone() },
        Thresholds { unsure: none, ..limits.clone() },
    ] {
        assert_eq!(limits.verdict(&clean), Verdict::MoreFrames, "{limits:?}");
    }
    assert!(matches!(Thresholds { unsteady: none, ..limits }.verdict(&clean), Verdict::Reject { .. }));
}
