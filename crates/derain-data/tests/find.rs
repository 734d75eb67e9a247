//! Folder walks.
#![allow(clippy::unwrap_used)] // a panic is how a test reports

use std::fs;
use std::path::{Path, PathBuf};

use derain_data::{Error, find_files, find_pictures, is_picture_name};

fn names(folder: &Path) -> Vec<String> {
    let found: Vec<PathBuf> = find_pictures(folder).unwrap();
    found.into_iter().map(|path| path.to_str().unwrap().replace('\\', "/")).collect()
}

#[test]
fn folders_are_walked_in_natural_order() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("b/c")).unwrap();
    for name in ["10.png", "2.PNG", "b/c/1.jpeg", "b/1.webp", "notes.txt", "png", "b/video.mp4", "z.TIF"] {
        fs::write(folder.path().join(name), "").unwrap();
    }
    assert_eq!(names(folder.path()), ["2.PNG", "10.png", "b/1.webp", "b/c/1.jpeg", "z.TIF"]);
    let videos = find_files(folder.path(), |path| path.extension().is_some_and(|extension| extension == "mp4"));
    assert_eq!(videos.unwrap(), [Path::new("b/video.mp4")]);
}

#[cfg(unix)]
#[test]
fn links_are_followed_and_loops_left() {
    use std::os::unix::fs::symlink;
    let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::create_dir(folder.path().join("a")).unwrap();
    fs::write(folder.path().join("a/1.png"), "").unwrap();
    fs::write(elsewhere.path().join("2.png"), "").unwrap();
    symlink(folder.path(), folder.path().join("a/up")).unwrap();
    symlink(elsewhere.path(), folder.path().join("linked")).unwrap();
    symlink(elsewhere.path().join("2.png"), folder.path().join("3.png")).unwrap();
    symlink("nowhere", folder.path().join("4.png")).unwrap();
    symlink("nowhere", folder.path().join("nowhere")).unwrap();
    assert_eq!(names(folder.path()), ["3.png", "4.png", "a/1.png", "linked/2.png"]);
    // The folder may itself be a link.
    let link = elsewhere.path().join("link");
    symlink(folder.path().join("a"), &link).unwrap();
    assert!(names(&link).contains(&"1.png".to_owned()));
}

#[test]
fn what_cannot_be_listed_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.png");
    fs::write(&file, "").unwrap();
    for path in [file, folder.path().join("missing")] {
        assert!(matches!(find_pictures(&path), Err(Error::Io { action: "list", .. })), "{}", path.display());
    }
}

#[test]
fn names_of_pictures() {
    assert!(is_picture_name("a/b.JPG") && is_picture_name("b.pam"));
    assert!(!is_picture_name("jpg") && !is_picture_name("a.gif") && !is_picture_name(".png"));
}
