//! The first frames of films, and films that are damaged after them.

use std::fs;

use ffmpeg_next as ffmpeg;
use ffmpeg_next::codec::Id;

use super::film::{Film, packets, seconds};
use super::{Checked, Ending, Parts, best, read, transcode, transcode_first};
use crate::Error;

/// 4 seconds with sound, 40 ms a frame.
fn long() -> Film {
    Film { times: (0..100).map(|index| 4 * index).collect(), sound: Some(Id::AAC), ..Film::default() }
}

#[test]
fn sound_ends_with_the_last_frame() {
    let folder = tempfile::tempdir().expect("folder");
    let path = |name: &str| folder.path().join(name);
    for (from, to) in [("a.mp4", "b.mp4"), ("a.mp4", "b.mkv"), ("c.mkv", "d.mp4"), ("c.mkv", "d.mkv")] {
        long().write(&path(from));
        let written = transcode_first(&path(from), &path(to), &best(), 40, Ending::LastFrame).expect("transcoded");
        assert_eq!(written.frames, 40, "{from} {to}");
        assert_eq!(read(&path(to)).expect("read").len(), 40, "{from} {to}");
        // To a packet of sound.
        assert!((seconds(&path(to), 0) - 1.6).abs() < 0.05, "{from} {to}: {}", seconds(&path(to), 0));
        let (before, after) = (packets(&path(from), 1), packets(&path(to), 1));
        let wanted: Vec<_> = before.iter().filter(|packet| packet.start.expect("time") < 1.6).collect();
        assert!(wanted.len() > 60 && wanted.len() < before.len(), "{from}: {} of {}", wanted.len(), before.len());
        // A container that rounds times may have the next one, too.
        assert!(after.len().abs_diff(wanted.len()) <= 1, "{from} {to}: {} of {}", after.len(), wanted.len());
        assert!(wanted.iter().zip(&after).all(|(before, after)| before.bytes == after.bytes), "{from} {to}");
        assert!(!Parts::folder_of(&path(to)).exists());
    }
}

#[test]
fn subtitles_and_chapters_end_with_the_last_frame() {
    let folder = tempfile::tempdir().expect("folder");
    let (input, output) = (folder.path().join("a.mkv"), folder.path().join("b.mkv"));
    Film { sound: Some(Id::PCM_S16LE), subtitles: true, ..Film::default() }.write(&input);
    // Start and end in milliseconds; a frame takes 40.
    for (frames, texts, chapters) in [
        (12, vec![[0, 120], [250, 370]], vec![[0, 200], [200, 480]]),
        (8, vec![[0, 120], [250, 320]], vec![[0, 200], [200, 320]]),
        (6, vec![[0, 120]], vec![[0, 200], [200, 240]]),
        (5, vec![[0, 120]], vec![[0, 200]]),
        (2, vec![[0, 80]], vec![[0, 80]]),
    ] {
        transcode_first(&input, &output, &best(), frames, Ending::LastFrame).expect("transcoded");
        let found = packets(&output, 2).into_iter().map(|packet| {
            let start = packet.start.expect("time");
            [start, start + packet.duration].map(|time| (time * 1000.0).round() as i64)
        });
        assert_eq!(found.collect::<Vec<_>>(), texts, "{frames}");
        let file = ffmpeg::format::input(&output).expect("input");
        let found = file.chapters().map(|chapter| {
            let unit = f64::from(chapter.time_base());
            [chapter.start(), chapter.end()].map(|time| (time as f64 * unit * 1000.0).round() as i64)
        });
        assert_eq!(found.collect::<Vec<_>>(), chapters, "{frames}");
    }
}

#[test]
fn damage_is_found_by_a_check_and_what_is_before_it_is_of_use() {
    let folder = tempfile::tempdir().expect("folder");
    let (input, output) = (folder.path().join("a.mkv"), folder.path().join("b.mkv"));
    Film { codec: Id::FFV1, times: (0..80).map(|index| 4 * index).collect(), ..long() }.write(&input);
    assert_eq!(Checked::of(&input, None, || {}).expect("sound"), Checked { frames: 80, whole: true });
    let bytes = fs::read(&input).expect("read");
    for tenths in [3, 6, 9] {
        fs::write(&input, &bytes[..bytes.len() * tenths / 10]).expect("written");
        let mut good = 0;
        let error = Checked::of(&input, None, || good += 1).expect_err("damaged");
        assert!(matches!(error, Error::Shortfall { .. } | Error::BrokenStream { .. }), "{error:?}");
        assert!(error.to_string().contains("read only the frames before it, or repair the file"), "{error}");
        assert!(good > 10 && good < 80, "{tenths}: {good}");
        assert!(transcode(&input, &output, &best()).is_err());
        let checked = Checked::of(&input, Some(good), || {}).expect("sound");
        assert_eq!(checked, Checked { frames: good, whole: false });
        let ending = checked.ending(Some(good));
        let written = transcode_first(&input, &output, &best(), good, ending).expect("transcoded");
        assert_eq!(written.frames, good);
        assert_eq!(read(&output).expect("read").len(), good);
        assert!(!packets(&output, 1).is_empty(), "{tenths}");
        fs::remove_file(&output).expect("removed");
    }
}
