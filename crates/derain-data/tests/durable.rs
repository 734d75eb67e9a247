//! Durable writes under failures and kills, and the removal of what kills leave.
#![allow(clippy::unwrap_used)] // a panic is how a test reports

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use derain_data::{Error, remove_orphans, write_durably};

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn files_are_made_and_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.png");
    write_durably(&path, b"first").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"first");
    write_durably(&path, b"").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"");
    assert_eq!(names(folder.path()), ["a.png"]);
    // As long a name as file systems allow leaves room for the temporary's.
    write_durably(folder.path().join("x".repeat(255)), b"long").unwrap();
}

#[test]
fn a_missing_folder_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let error = write_durably(folder.path().join("missing/a.png"), b"x").unwrap_err();
    assert!(matches!(error, Error::Io { .. }));
    assert!(error.to_string().contains("missing"), "{error}");
}

#[test]
fn a_folder_is_never_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.png");
    fs::create_dir(&path).unwrap();
    assert!(matches!(write_durably(&path, b"x"), Err(Error::NotAFile { .. })));
    assert!(matches!(write_durably("/", b"x"), Err(Error::NotAFile { .. })));
    assert_eq!(names(folder.path()), ["a.png"]);
}

#[cfg(unix)]
mod unix {
    use super::*;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
    use std::os::unix::process::ExitStatusExt;

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().mode() & 0o7777
    }

    #[test]
    fn modes_are_those_of_any_file() {
        let folder = tempfile::tempdir().unwrap();
        let (plain, written) = (folder.path().join("plain"), folder.path().join("written"));
        fs::write(&plain, "x").unwrap();
        write_durably(&written, b"x").unwrap();
        assert_eq!(mode(&written), mode(&plain));
        fs::set_permissions(&written, fs::Permissions::from_mode(0o640)).unwrap();
        write_durably(&written, b"y").unwrap();
        assert_eq!(mode(&written), 0o640);
    }

    #[test]
    fn read_only_files_stay() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        fs::write(&path, "kept").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o444)).unwrap();
        assert!(matches!(write_durably(&path, b"x"), Err(Error::ReadOnly { .. })));
        assert_eq!(fs::read(&path).unwrap(), b"kept");
        assert_eq!(names(folder.path()), ["a.png"]);
    }

    #[test]
    fn links_stay_links() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("real")).unwrap();
        let link = folder.path().join("link.png");
        symlink("real/a.png", &link).unwrap();
        for content in [b"made", b"next"] {
            write_durably(&link, content).unwrap();
            assert!(link.is_symlink());
            assert_eq!(fs::read(folder.path().join("real/a.png")).unwrap(), content);
        }
        symlink("round.png", folder.path().join("round.png")).unwrap();
        assert!(matches!(write_durably(folder.path().join("round.png"), b"x"), Err(Error::Io { .. })));
        assert!(matches!(write_durably("/dev/null", b"x"), Err(Error::NotAFile { .. })));
    }

    /// Runs one test of this file in a process of its own, through a shell line, with `DERAIN_CHILD`
    /// set to a folder.
    fn child(test: &str, folder: &Path, shell: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("{shell} exec \"$0\" --exact {test} --nocapture")]);
        command.arg(std::env::current_exe().unwrap()).env("DERAIN_CHILD", folder);
        command
    }

    #[test]
    fn a_full_disk_leaves_the_old_file_alone() {
        if let Some(folder) = std::env::var_os("DERAIN_CHILD") {
            let error = write_durably(Path::new(&folder).join("a.png"), &vec![1; 1 << 20]).unwrap_err();
            assert!(matches!(error, Error::Io { action: "write", .. }), "{error}");
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.png"), "old").unwrap();
        // No file may pass 4 KiB: the write fails half-way, as on a full disk.
        let mut child =
            child("unix::a_full_disk_leaves_the_old_file_alone", folder.path(), "trap '' XFSZ; ulimit -f 8;");
        assert!(child.output().unwrap().status.success());
        assert_eq!(fs::read(folder.path().join("a.png")).unwrap(), b"old");
        assert_eq!(names(folder.path()), ["a.png"]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_folder_that_takes_no_files_is_an_error() {
        // Not even root may add to it.
        assert!(matches!(write_durably("/proc/a.png", b"x"), Err(Error::Io { .. })));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_kill_leaves_a_whole_file_and_a_removable_orphan() {
        let contents = [vec![b'a'; 3 << 20], vec![b'b'; 3 << 20]];
        if let Some(folder) = std::env::var_os("DERAIN_CHILD") {
            for content in contents.iter().cycle() {
                write_durably(Path::new(&folder).join("a.png"), content).unwrap();
            }
        }
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("a.png");
        let test = "unix::a_kill_leaves_a_whole_file_and_a_removable_orphan";
        let mut orphans = 0;
        for round in 0..12 {
            let mut child = child(test, folder.path(), "").stdout(std::process::Stdio::null()).spawn().unwrap();
            let begun = SystemTime::now();
            while !target.exists() && begun.elapsed().unwrap() < Duration::from_secs(20) {
                std::thread::sleep(Duration::from_millis(1));
            }
            std::thread::sleep(Duration::from_millis(20 + 7 * round));
            // Its temporary is in use: whatever is there stays there.
            assert_eq!(remove_orphans(folder.path()).unwrap(), [] as [&Path; 0]);
            child.kill().unwrap();
            assert_eq!(child.wait().unwrap().signal(), Some(9));
            assert!(contents.contains(&fs::read(&target).unwrap()), "a part of a file");
            orphans += remove_orphans(folder.path()).unwrap().len();
            assert_eq!(names(folder.path()), ["a.png"]);
        }
        assert!(orphans > 0, "no kill came amid a write: the test shows nothing");
    }
}

#[test]
fn only_old_temporaries_of_other_machines_go() {
    let folder = tempfile::tempdir().unwrap();
    let make = |name: &str, age: Duration| {
        let file = fs::File::create(folder.path().join(name)).unwrap();
        file.set_modified(SystemTime::now() - age).unwrap();
    };
    let day = Duration::from_secs(24 * 60 * 60);
    make(".derain-tmp-ffffff00-1-2-3-4", 2 * day);
    make(".derain-tmp-ffffff00-1-2-3-5", day / 2);
    make(".derain-tmp-ffffff00-1-2-3-5.png", 2 * day);
    make("derain-tmp-ffffff00-1-2-3-5", 2 * day);
    make("picture.png", 2 * day);
    fs::create_dir(folder.path().join(".derain-tmp-ffffff00-1-2-3-6")).unwrap();
    assert_eq!(remove_orphans(folder.path()).unwrap(), [folder.path().join(".derain-tmp-ffffff00-1-2-3-4")]);
    assert_eq!(names(folder.path()).len(), 5);
    assert!(matches!(remove_orphans(folder.path().join("missing")), Err(Error::Io { action: "list", .. })));
}
