//! Where a path leads, whatever it looks like, and what of it may stand in a message.

use std::ffi::OsString;
use std::fmt::{self, Write};
use std::io;
use std::path::{Component, Path, PathBuf};

/// The absolute path with links resolved, also of what does not exist yet.
///
/// # Errors
/// When the path is empty or nothing of it can be found.
pub fn resolve(path: &Path) -> io::Result<PathBuf> {
    let absolute = std::path::absolute(path)?;
    let mut missing: Vec<OsString> = Vec::new();
    let mut existing = absolute.as_path();
    let mut resolved = loop {
        match existing.canonicalize() {
            Ok(resolved) => break resolved,
            Err(error) => match (existing.parent(), existing.components().next_back()) {
                (Some(parent), Some(last)) => {
                    missing.push(last.as_os_str().to_owned());
                    existing = parent;
                }
                _ => return Err(error),
            },
        }
    };
    for part in missing.into_iter().rev() {
        // Nothing there can be a link, so `..` is the folder above by name.
        match Path::new(&part).components().next() {
            Some(Component::ParentDir) => drop(resolved.pop()),
            _ => resolved.push(part),
        }
    }
    Ok(resolved)
}

/// Paths in messages.
pub trait Shown {
    /// As [`Path::display`], but with line breaks and other control characters, which names of files may hold, as in
    /// Rust's literals: one message stays one line, and no name steers a terminal.
    fn shown(&self) -> ShownPath<'_>;
}

impl Shown for Path {
    fn shown(&self) -> ShownPath<'_> {
        ShownPath(self)
    }
}

/// A path that can be displayed; of [`Shown::shown`].
#[derive(Clone, Copy, Debug)]
pub struct ShownPath<'a>(&'a Path);

impl fmt::Display for ShownPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Unicode's breaks of lines, and what turns the direction of text, are no control characters to Rust.
        let steers = |c: char| {
            c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        };
        self.0.to_string_lossy().chars().try_for_each(|c| match steers(c) {
            true => write!(f, "{}", c.escape_default()),
            false => f.write_char(c),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_on_their_line() {
        let shown = |name: &str| Path::new(name).shown().to_string();
        assert_eq!(shown("Regen/Straße 1.jpg"), "Regen/Straße 1.jpg");
        assert_eq!(shown("a\nb\u{1b}[2J.jpg"), "a\\nb\\u{1b}[2J.jpg");
        assert_eq!(shown("gpj.\u{202e}exe"), "gpj.\\u{202e}exe");
    }
}
