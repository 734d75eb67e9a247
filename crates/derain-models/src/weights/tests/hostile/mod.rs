//! Files that want too much: time, memory, stack or the machine. The unit tests check the errors,
//! the integration test `hostile_weights` the memory.

mod containers;
mod pickles;

/// A file and what must come of it.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) bytes: Vec<u8>,
    /// Part of the error's message; `None` for a file that is odd but readable.
    pub(crate) error: Option<&'static str>,
}

fn refused(name: &'static str, error: &'static str, bytes: Vec<u8>) -> Case {
    Case { name, bytes, error: Some(error) }
}

fn accepted(name: &'static str, bytes: Vec<u8>) -> Case {
    Case { name, bytes, error: None }
}

/// Number of groups that [`group`] makes.
pub(crate) const GROUPS: usize = 6;

/// The cases, in groups so that not all large files need to exist at once.
pub(crate) fn group(index: usize) -> Vec<Case> {
    match index {
        0 => pickles::code(),
        1 => containers::claims(),
        2 => pickles::nesting(),
        3 => pickles::floods(),
        4 => containers::archives(),
        _ => containers::headers(),
    }
}
