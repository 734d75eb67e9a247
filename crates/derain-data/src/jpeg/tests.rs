//! Flaws of JPEGs, made by hand and by damaging whole files.
#![allow(clippy::unwrap_used)] // a panic is how a test reports

use std::fs;
use std::path::Path;

use super::Flaw;

fn find_flaw(jpeg: &[u8]) -> Option<Flaw> {
    super::find_flaw(jpeg, u64::MAX)
}

/// SOI, a frame of `components`, a scan of four coded bytes with a stuffed 0xFF and a restart, EOI.
fn jpeg(components: &[u8], adobe: bool) -> Vec<u8> {
    let mut bytes = vec![0xFF, 0xD8];
    if adobe {
        bytes.extend_from_slice(b"\xFF\xEE\x00\x0EAdobe\x00\x64\x00\x00\x00\x00\x00");
    }
    let count = components.len() as u8;
    bytes.extend_from_slice(&[0xFF, 0xC0, 0, 8 + 3 * count, 8, 0, 1, 0, 1, count]);
    for &id in components {
        bytes.extend_from_slice(&[id, 0x11, 0]);
    }
    bytes.extend_from_slice(&[0xFF, 0xDA, 0, 2, 1, 0xFF, 0x00, 0xFF, 0xD0, 7, 0xFF, 0xD9]);
    bytes
}

#[test]
fn whole_files_pass_and_every_prefix_is_cut_short() {
    let whole = jpeg(&[1, 2, 3], false);
    assert_eq!(find_flaw(&whole), None);
    for end in 2..whole.len() {
        assert_eq!(find_flaw(&whole[..end]), Some(Flaw::Truncated), "{end} bytes");
    }
}

#[test]
fn scans_without_end_are_refused_before_they_are_followed() {
    let whole = jpeg(&[1, 2, 3], false);
    let scan = whole.windows(2).position(|pair| pair == [0xFF, 0xDA]).unwrap()..whole.len() - 2;
    let repeated = |times| [&whole[..scan.start], &whole[scan.clone()].repeat(times), b"\xFF\xD9"].concat();
    assert_eq!(find_flaw(&repeated(100)), None);
    assert_eq!(find_flaw(&repeated(101)), Some(Flaw::Unsupported("a JPEG of more than 100 scans")));
}

#[test]
fn channels_need_an_explanation() {
    assert!(matches!(find_flaw(&jpeg(&[1, 2, 3, 4], false)), Some(Flaw::Unsupported(_))));
    assert_eq!(find_flaw(&jpeg(&[1, 2, 3, 4], true)), None);
    assert!(matches!(find_flaw(&jpeg(b"RGB", false)), Some(Flaw::Unsupported(_))));
    assert_eq!(find_flaw(&jpeg(b"RGB", true)), None);
    assert!(matches!(find_flaw(&jpeg(&[1, 2], true)), Some(Flaw::Unsupported(_))));
    assert_eq!(find_flaw(&jpeg(&[1], false)), None);
}

#[test]
fn the_end_marker_of_a_thumbnail_is_not_the_end_of_the_picture() {
    let mut bytes = vec![0xFF, 0xD8, 0xFF, 0xE1, 0, 6, 0xFF, 0xD8, 0xFF, 0xD9];
    bytes.extend_from_slice(&jpeg(&[1], false)[2..]);
    assert_eq!(find_flaw(&bytes), None);
    let cut = bytes.len() - 2;
    assert_eq!(find_flaw(&bytes[..cut]), Some(Flaw::Truncated));
}

/// Whole files of `tests/fixtures/make.py`, and where their coded data begin.
fn scans() -> Vec<(&'static str, Vec<u8>, usize)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scans");
    let file = |name: &'static str| {
        let bytes = fs::read(folder.join(name)).unwrap();
        let first_scan = bytes.windows(2).position(|pair| pair == [0xFF, 0xDA]).unwrap();
        (name, bytes, first_scan + 14)
    };
    ["baseline.jpg", "restarts.jpg", "progressive.jpg", "grey.jpg"].map(file).to_vec()
}

#[test]
fn whole_scans_pass() {
    for (name, bytes, _) in scans() {
        assert_eq!(find_flaw(&bytes), None, "{name}");
        let end = bytes.len() - 2;
        let restarted = [&bytes[..end], b"\xFF\xD0\xFF\xD9"].concat();
        assert_eq!(find_flaw(&restarted), None, "{name}, a restart after the last unit");
        let cut = [&bytes[..end / 2], b"\xFF\xD9"].concat();
        assert!(find_flaw(&cut).is_some(), "{name}");
        assert_eq!(super::find_flaw(&cut, 161 * 119 - 1), None, "{name}, for the decoder to refuse by its size");
    }
}

#[test]
fn damaged_scans_are_found() {
    const LENGTH: usize = 1000;
    for (name, whole, first) in scans() {
        let mut missed = [0; 4];
        let places = (first..whole.len() - 2 - LENGTH).step_by(61);
        let all = places.len();
        for at in places {
            let (before, after) = (&whole[..at], &whole[at + LENGTH..]);
            let noise: Vec<u8> = (0..LENGTH).map(|byte| ((byte + at) * 167 % 251) as u8).collect();
            let damaged = [
                [before, &[0; LENGTH], after].concat(),
                [before, &noise, after].concat(),
                [before, after].concat(),
                [before, &[0xFF, 0xD9]].concat(), // as tools end what they could save of a file
            ];
            for (damaged, missed) in damaged.iter().zip(&mut missed) {
                *missed += usize::from(find_flaw(damaged).is_none());
            }
        }
        // Codes that are whole after the damage, by chance, cannot be told.
        assert!(all > 50 && missed.iter().all(|missed| missed * 20 < all), "{name}: of {all} missed {missed:?}");
    }
}

#[test]
fn the_row_of_the_damage_is_told() {
    let (_, whole, first) = scans().remove(0);
    let middle = first.midpoint(whole.len());
    let cut = [&whole[..middle], &[0xFF, 0xD9]].concat();
    let Some(Flaw::Damaged { row }) = find_flaw(&cut) else { panic!("half of the data passed") };
    assert!((40..80).contains(&row), "{row}");
}

#[test]
fn headers_of_huge_pictures_take_no_memory() {
    let (_, mut bytes, _) = scans().remove(2);
    let frame = bytes.windows(2).position(|pair| pair == [0xFF, 0xC2]).unwrap();
    bytes[frame + 5..frame + 9].fill(0xFF);
    assert_eq!(super::find_flaw(&bytes, 1 << 30), None, "for the decoder to refuse");
}
