//! Where temporary files lie that hold what memory does not: pictures' features, a clip's frames.

use std::io::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};

/// Where the Filesystem Hierarchy Standard wants temporary files that outlive a restart: on a disk, where the system's
/// folder often is memory.
const ON_DISK: &str = "/var/tmp";

/// The system's folder for temporary files, or another of its that is on a disk.
///
/// # Errors
/// When there is none.
pub fn folder_on_disk() -> Result<PathBuf> {
    on_disk([std::env::temp_dir(), ON_DISK.into()], is_memory)
}

/// The first folder that is not itself memory: rows written there would count against the limit that they are to keep.
fn on_disk(folders: [PathBuf; 2], is_memory: impl Fn(&Path) -> bool) -> Result<PathBuf> {
    let [system, other] = folders;
    if !is_memory(&system) {
        return Ok(system);
    }
    if other.is_dir() && !is_memory(&other) {
        return Ok(other);
    }
    let text = format!(
        "{} is memory itself, and {} is no folder on a disk: set TMPDIR to one, or name one for temporary files",
        system.display(),
        other.display()
    );
    Err(Error::new(ErrorKind::StorageFull, text))
}

/// Whether files in a folder lie in memory. A folder that cannot be asked is left to whoever makes the file.
#[cfg(target_os = "linux")]
fn is_memory(folder: &Path) -> bool {
    /// Types of file systems, from Linux's `include/uapi/linux/magic.h`.
    const TMPFS: u32 = 0x0102_1994;
    const RAMFS: u32 = 0x8584_58F6;
    // The number has 32 bits; the field's width and sign depend on the processor.
    rustix::fs::statfs(folder).is_ok_and(|about| [TMPFS, RAMFS].contains(&(about.f_type as u32)))
}

/// Other systems keep temporary files on disks.
#[cfg(not(target_os = "linux"))]
fn is_memory(_: &Path) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_that_are_memory_are_passed_over() {
        let disk = tempfile::tempdir().expect("a folder");
        let chosen = |memory: &[&Path]| {
            let folders = ["/first".into(), disk.path().to_owned()];
            on_disk(folders, |folder| memory.contains(&folder))
        };
        assert_eq!(chosen(&[]).expect("a folder"), Path::new("/first"));
        assert_eq!(chosen(&[Path::new("/first")]).expect("a folder"), disk.path());
        let error = chosen(&[Path::new("/first"), disk.path()]).expect_err("both are memory").to_string();
        assert!(error.starts_with("/first is memory itself") && error.contains("TMPDIR"), "{error}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn memory_is_told_from_other_file_systems() {
        assert!(!is_memory(Path::new("/proc")) && !is_memory(Path::new("/no/such/folder")));
        // Where there is one, it is what POSIX shared memory lies in.
        let mounts = std::fs::read_to_string("/proc/mounts").expect("Linux");
        if mounts.lines().any(|mount| mount.contains(" /dev/shm tmpfs ")) {
            assert!(is_memory(Path::new("/dev/shm")));
        }
    }
}
