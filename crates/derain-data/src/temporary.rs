//! Names of temporary files, which tell whether the process that made one still runs.
//!
//! `.derain-tmp-BOOT-NAMESPACE-PID-START-SERIAL`: process ids are used again, so the start time goes
//! with them; they mean something only since one boot of one machine and within one process
//! namespace (a container), so those go with them too. Where the system tells none of this (it is
//! read from `/proc`, as Linux has it), the parts are zero and a file's age decides.

use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const PREFIX: &str = ".derain-tmp-";

/// No single file takes this long to write, not even over a slow network.
const SURELY_LEFT: Duration = Duration::from_secs(24 * 60 * 60);

/// The process that made a temporary file.
#[derive(Debug, PartialEq, Eq)]
struct Owner {
    boot: String,
    namespace: u64,
    pid: u32,
    start: u64,
}

impl Owner {
    fn current() -> Self {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let boot: String = boot.chars().filter(char::is_ascii_hexdigit).take(8).collect();
        let namespace = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
        let namespace: String = namespace.to_string_lossy().chars().filter(char::is_ascii_digit).collect();
        let pid = std::process::id();
        Self {
            boot: if boot.len() == 8 { boot } else { "00000000".into() },
            namespace: namespace.parse().unwrap_or(0),
            pid,
            start: start_time(pid).unwrap_or(0),
        }
    }

    /// Whether the process ids of `other` mean the same to this process, and can be looked up.
    fn sees(&self, other: &Self) -> bool {
        self.start != 0 && self.boot == other.boot && self.namespace == other.namespace
    }
}

/// A name for a temporary file that no other call uses, on any machine that shares the folder.
///
/// [`remove_orphans`](crate::remove_orphans) removes such files once the process that made them is gone.
#[must_use]
pub(crate) fn temporary_name() -> String {
    static SERIAL: AtomicU64 = AtomicU64::new(0);
    let Owner { boot, namespace, pid, start } = Owner::current();
    format!("{PREFIX}{boot}-{namespace}-{pid}-{start}-{}", SERIAL.fetch_add(1, Ordering::Relaxed))
}

/// Whether `name` is a temporary file whose maker is gone.
pub(crate) fn is_orphan(name: &str, metadata: &Metadata) -> bool {
    let Some(owner) = parse(name) else {
        return false;
    };
    // Where the system hides other users' processes, a missing entry says nothing; the first process shows whether it
    // does.
    if Owner::current().sees(&owner) && start_time(1).is_some() {
        return start_time(owner.pid) != Some(owner.start);
    }
    let age = metadata.modified().ok().and_then(|modified| modified.elapsed().ok());
    age.is_some_and(|age| age > SURELY_LEFT)
}

/// Whether a path has the name of a temporary file, whosever it is.
pub(crate) fn is_ours(path: &Path) -> bool {
    path.file_name().and_then(OsStr::to_str).is_some_and(|name| parse(name).is_some())
}

fn parse(name: &str) -> Option<Owner> {
    let mut parts = name.strip_prefix(PREFIX)?.split('-');
    let boot = parts.next().filter(|boot| boot.len() == 8 && boot.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    let mut numbers = parts.map(|part| part.parse::<u64>().ok().filter(|number| number.to_string() == part));
    let (namespace, pid, start, _serial) = (numbers.next()??, numbers.next()??, numbers.next()??, numbers.next()??);
    if numbers.next().is_some() {
        return None;
    }
    Some(Owner { boot: boot.into(), namespace, pid: u32::try_from(pid).ok()?, start })
}

/// When a process started, in ticks since boot: the 22nd field of its `stat`, counted after the
/// command name, which may itself hold spaces and brackets.
fn start_time(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_ascii_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{Owner, parse, temporary_name};

    #[test]
    fn names_tell_their_maker_and_differ() {
        let (first, second) = (temporary_name(), temporary_name());
        assert_ne!(first, second);
        assert_eq!(parse(&first), Some(Owner::current()));
    }

    #[test]
    fn other_names_are_not_ours() {
        assert!(parse(".derain-tmp-0123abcd-1-2-3-4").is_some());
        for name in [
            "a.png",
            ".derain-tmp-",
            ".derain-tmp-0123abcd-1-2-3",
            ".derain-tmp-0123abcd-1-2-3-4-5",
            ".derain-tmp-0123abcd-1-2-3-4.png",
            ".derain-tmp-0123abcg-1-2-3-4",
            ".derain-tmp-0123abcd-1-2-3-04",
            ".derain-tmp-0123abcd-1-99999999999-3-4",
        ] {
            assert_eq!(parse(name), None, "{name}");
        }
    }
}
