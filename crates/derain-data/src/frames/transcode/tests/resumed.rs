//! Parts of a film in their folder.

use std::fs;
use std::path::Path;

use super::film::Film;
use super::{Checked, EncodeOptions, Ending, Origin, Parts, TranscodeError, VideoEncoder, VideoReader, write_video};
use crate::Error;

/// Does what is missing, at most `most` groups of it.
fn work(input: &Path, parts: &mut Parts, encoder: &VideoEncoder, most: usize) -> Vec<image::RgbImage> {
    let mut seen = Vec::new();
    let mut reader = VideoReader::open(input).expect("opened");
    for time in parts.times().collect::<Vec<_>>() {
        assert_eq!(reader.skip_frame().expect("skipped"), Some(time));
    }
    let mut group = encoder.begin().expect("group");
    let mut made = 0;
    while let Some(frame) = reader.next_frame().expect("read") {
        group.push(&frame).expect("pushed");
        seen.push(frame.image);
        if group.is_full() {
            if made == most {
                return seen;
            }
            made += 1;
            let full = std::mem::replace(&mut group, encoder.begin().expect("group"));
            parts.save(&full.finish().expect("finished")).expect("saved");
        }
    }
    if !group.is_empty() && made < most {
        parts.save(&group.finish().expect("finished")).expect("saved");
    }
    seen
}

#[test]
fn resumed_films_equal_unbroken_ones() {
    let folder = tempfile::tempdir().expect("folder");
    let path = |name: &str| folder.path().join(name);
    let input = path("a.mp4");
    Film { times: (0..100).map(|index| 4 * index).collect(), ..Film::default() }.write(&input);
    let encoder = VideoEncoder::new(VideoReader::open(&input).expect("opened").format(), &EncodeOptions::default());
    let encoder = encoder.expect("encoder");
    let origin = Origin::of(&input, &encoder).expect("origin").with("weights", "abc");
    let mut unbroken = Parts::begin(&path("b.parts"), &origin).expect("parts");
    let seen = work(&input, &mut unbroken, &encoder, usize::MAX);
    write_video(&input, &path("b.mp4"), &encoder, &unbroken, Ending::Input).expect("written");

    let parts_folder = path("c.parts");
    let mut parts = Parts::begin(&parts_folder, &origin).expect("parts");
    let again = work(&input, &mut parts, &encoder, 2);
    let differ: Vec<usize> = (0..again.len()).filter(|at| seen[*at] != again[*at]).collect();
    assert!(differ.is_empty(), "decoded frames {differ:?}");
    assert!(matches!(Parts::resume(&parts_folder, &origin), Err(Error::Transcode(TranscodeError::PartsInUse { .. }))));
    drop(parts);
    // A kill while the third is written leaves a temporary at most; a disk may do worse.
    fs::write(parts_folder.join("000002.group"), "no group").expect("written");
    let mut parts = Parts::resume(&parts_folder, &origin).expect("parts");
    assert_eq!(parts.times().count(), 64);
    assert!(!parts_folder.join("000002.group").exists());
    work(&input, &mut parts, &encoder, 1);
    drop(parts);
    let mut parts = Parts::resume(&parts_folder, &origin).expect("parts");
    assert_eq!(parts.times().count(), 96);
    work(&input, &mut parts, &encoder, usize::MAX);
    write_video(&input, &path("c.mp4"), &encoder, &parts, Ending::Input).expect("written");
    for index in 0..4 {
        let (a, b) = (unbroken.load(index).expect("group"), parts.load(index).expect("group"));
        let differ: Vec<usize> = (0..a.frames.len()).filter(|at| a.frames[*at] != b.frames[*at]).collect();
        assert!(differ.is_empty(), "group {index}: frames {differ:?}");
    }
    assert!(fs::read(path("b.mp4")).expect("read") == fs::read(path("c.mp4")).expect("read"));

    // Groups that were made otherwise are neither used nor lost.
    drop(parts);
    let refused = |origin: &Origin, words: &str| {
        let error = Parts::resume(&parts_folder, origin).map(drop).expect_err("made otherwise");
        let differs = matches!(error, Error::Transcode(TranscodeError::PartsDiffer { groups: 4, .. }));
        assert!(differs && error.to_string().contains(words), "{error}");
    };
    refused(&origin.clone().with("weights", "xyz"), "weights was abc and is xyz");
    fs::write(parts_folder.join("manifest.json"), "{").expect("written");
    refused(&origin, "the manifest is missing or damaged");
    assert!(parts_folder.join("000003.group").exists());
    let parts = Parts::restart(&parts_folder, &origin).expect("parts");
    assert_eq!(parts.times().count(), 0);
    parts.remove().expect("removed");
    assert!(!parts_folder.exists());
}

#[test]
fn finished_groups_are_removed_on_demand_only() {
    let folder = tempfile::tempdir().expect("folder");
    let (input, parts_folder) = (folder.path().join("a.mp4"), folder.path().join("b.parts"));
    Film { times: (0..40).map(|index| 4 * index).collect(), ..Film::default() }.write(&input);
    let encoder = VideoEncoder::new(VideoReader::open(&input).expect("opened").format(), &EncodeOptions::default());
    let encoder = encoder.expect("encoder");
    let origin = Origin::of(&input, &encoder).expect("origin");
    // A folder without groups is nobody's loss.
    drop(Parts::begin(&parts_folder, &origin).expect("parts"));
    let mut parts = Parts::begin(&parts_folder, &origin).expect("parts");
    work(&input, &mut parts, &encoder, usize::MAX);
    drop(parts);
    let there = Parts::begin(&parts_folder, &origin).map(drop);
    assert!(matches!(there, Err(Error::Transcode(TranscodeError::PartsThere { groups: 2, .. }))), "{there:?}");
    let parts = Parts::resume(&parts_folder, &origin).expect("parts");
    assert_eq!(parts.times().count(), 40);
    drop(parts);
    assert_eq!(Parts::restart(&parts_folder, &origin).expect("parts").times().count(), 0);
    assert!(!parts_folder.join("000000.group").exists());
}

#[test]
fn parts_go_all_at_once() {
    let folder = tempfile::tempdir().expect("folder");
    let (input, parts_folder) = (folder.path().join("a.mp4"), folder.path().join("b.parts"));
    Film { times: (0..40).map(|index| 4 * index).collect(), ..Film::default() }.write(&input);
    let encoder = VideoEncoder::new(VideoReader::open(&input).expect("opened").format(), &EncodeOptions::default());
    let encoder = encoder.expect("encoder");
    let origin = Origin::of(&input, &encoder).expect("origin");
    let mut parts = Parts::begin(&parts_folder, &origin).expect("parts");
    work(&input, &mut parts, &encoder, usize::MAX);
    // Ends the removal before all is gone, as a kill does.
    let (obstacle, removed) = (parts_folder.join("000009.group"), folder.path().join("b.parts.removed"));
    fs::create_dir(obstacle).expect("made");
    assert!(parts.remove().is_err());
    assert!(!parts_folder.exists() && removed.exists());
    fs::remove_dir(removed.join("000009.group")).expect("removed");
    fs::write(removed.join("000008.group"), "left").expect("written");
    // Nothing of it is gone on with, and nothing stays.
    let parts = Parts::resume(&parts_folder, &origin).expect("parts");
    assert_eq!(parts.times().count(), 0);
    assert!(!removed.exists());
    parts.remove().expect("removed");
    fs::create_dir(&removed).expect("made");
    fs::write(removed.join("diary.txt"), "dear").expect("written");
    let others = Parts::begin(&parts_folder, &origin).map(drop);
    assert!(matches!(others, Err(Error::Transcode(TranscodeError::NotParts { .. }))), "{others:?}");
    assert!(removed.join("diary.txt").exists() && !parts_folder.exists());
}

#[test]
fn finished_groups_serve_another_length() {
    let folder = tempfile::tempdir().expect("folder");
    let (input, parts_folder) = (folder.path().join("a.mp4"), folder.path().join("b.parts"));
    Film { times: (0..100).map(|index| 4 * index).collect(), ..Film::default() }.write(&input);
    let mut reader = VideoReader::open(&input).expect("opened");
    let encoder = VideoEncoder::new(reader.format(), &EncodeOptions::default()).expect("encoder");
    let origin = Origin::of(&input, &encoder).expect("origin");
    let mut unbroken = Parts::begin(&folder.path().join("c.parts"), &origin).expect("parts");
    work(&input, &mut unbroken, &encoder, usize::MAX);
    let mut parts = Parts::begin(&parts_folder, &origin).expect("parts");
    // The first 50 frames.
    for frames in [32, 18] {
        let mut group = encoder.begin().expect("group");
        for _ in 0..frames {
            group.push(&reader.next_frame().expect("read").expect("a frame")).expect("pushed");
        }
        parts.save(&group.finish().expect("finished")).expect("saved");
    }
    parts.fit(50).expect("as long as they are");
    let shorter = parts.fit(31).expect_err("shorter than they are");
    assert!(
        matches!(shorter, Error::Transcode(TranscodeError::PartsPastEnd { done: 32, frames: 31, .. })),
        "{shorter:?}"
    );
    assert_eq!(parts.times().count(), 50);
    parts.fit(100).expect("longer");
    assert_eq!(parts.times().count(), 32);
    assert!(!parts_folder.join("000001.group").exists());
    parts.fit(32).expect("as long as they are");
    work(&input, &mut parts, &encoder, usize::MAX);
    for index in 0..4 {
        assert!(unbroken.load(index).expect("group") == parts.load(index).expect("group"), "group {index}");
    }
}

#[test]
fn a_check_is_remembered_for_the_same_input_only() {
    let folder = tempfile::tempdir().expect("folder");
    let (input, parts_folder) = (folder.path().join("a.mp4"), folder.path().join("b.parts"));
    Film::default().write(&input);
    let encoder = VideoEncoder::new(VideoReader::open(&input).expect("opened").format(), &EncodeOptions::default());
    let origin = Origin::of(&input, &encoder.expect("encoder")).expect("origin");
    let mut parts = Parts::begin(&parts_folder, &origin).expect("parts");
    assert_eq!(parts.checked(), None);
    let checked = Checked::of(&input, None, || {}).expect("sound");
    parts.save_checked(checked).expect("saved");
    assert_eq!(parts.checked(), Some(Checked { frames: 12, whole: true }));
    drop(parts);
    let parts = Parts::resume(&parts_folder, &origin).expect("parts");
    assert_eq!(parts.checked(), Some(checked));
    drop(parts);
    let parts = Parts::resume(&parts_folder, &origin.with("input", "another")).expect("no groups are lost");
    assert_eq!(parts.checked(), None);
    parts.remove().expect("removed");
    assert!(!parts_folder.exists());
}

#[test]
fn folders_of_others_are_left_alone() {
    let folder = tempfile::tempdir().expect("folder");
    let (input, parts) = (folder.path().join("a.mp4"), folder.path().join("b.parts"));
    Film::default().write(&input);
    let reader = VideoReader::open(&input).expect("opened");
    let encoder = VideoEncoder::new(reader.format(), &EncodeOptions::default()).expect("encoder");
    let origin = Origin::of(&input, &encoder).expect("origin");
    fs::create_dir(&parts).expect("made");
    fs::write(parts.join("diary.txt"), "dear").expect("written");
    assert!(matches!(Parts::begin(&parts, &origin), Err(Error::Transcode(TranscodeError::NotParts { .. }))));
    assert!(matches!(Parts::restart(&parts, &origin), Err(Error::Transcode(TranscodeError::NotParts { .. }))));
    assert!(matches!(Parts::resume(&parts, &origin), Err(Error::Transcode(TranscodeError::NotParts { .. }))));
    assert_eq!(fs::read_dir(&parts).expect("list").count(), 1);
}

#[test]
fn frames_of_another_size_and_options_out_of_range_are_refused() {
    let folder = tempfile::tempdir().expect("folder");
    let input = folder.path().join("a.mp4");
    Film::default().write(&input);
    let mut reader = VideoReader::open(&input).expect("opened");
    let options = EncodeOptions { rate_factor: 52, encoder: None };
    assert!(matches!(VideoEncoder::new(reader.format(), &options), Err(Error::InvalidOption { .. })));
    let encoder = VideoEncoder::new(reader.format(), &EncodeOptions::default()).expect("encoder");
    let mut group = encoder.begin().expect("group");
    let mut frame = reader.next_frame().expect("read").expect("a frame");
    frame.image = image::RgbImage::new(48, 64);
    assert!(matches!(group.push(&frame), Err(Error::SizesDiffer { .. })));
    assert!(encoder.begin().expect("group").finish().is_err());
}
