//! Large result buffers.

use std::fmt;
use std::ops::{Deref, DerefMut};

use crate::element::Element;

/// Bytes of a cache line, and of the widest vector. A vector that crosses a line costs two accesses, and what
/// allocators hand out starts 16 bytes into one.
const LINE: usize = 64;

/// Elements that one task of an elementwise loop takes.
pub(crate) const PIECE: usize = 1 << 15;

/// A buffer that starts at a cache line.
pub struct Aligned<E> {
    values: Vec<E>,
    start: usize,
    length: usize,
}

impl<E: Element> Aligned<E> {
    /// `length` zeros, made as [`zeroed`] makes them.
    pub fn zeroed(length: usize) -> Self {
        let values = zeroed::<E>(length + LINE / size_of::<E>());
        let start = values.as_ptr().align_offset(LINE).min(values.len() - length);
        Self { values, start, length }
    }

    /// Bytes that are allocated.
    pub fn bytes(&self) -> usize {
        self.values.capacity() * size_of::<E>()
    }

    /// Grows to at least `length` elements; what was there is then lost.
    pub fn reserve(&mut self, length: usize) {
        if self.length < length {
            *self = Self::zeroed(length);
        }
    }

    /// The elements as a vector, without a copy where that is how the buffer was made.
    pub fn into_vec(mut self) -> Vec<E> {
        self.values.truncate(self.start + self.length);
        self.values.drain(..self.start);
        self.values
    }
}

/// Takes a vector as it is, wherever it starts.
impl<E> From<Vec<E>> for Aligned<E> {
    fn from(values: Vec<E>) -> Self {
        Self { start: 0, length: values.len(), values }
    }
}

impl<E> Default for Aligned<E> {
    fn default() -> Self {
        Self::from(Vec::new())
    }
}

/// Tells how long it is: what it holds are the weights of a network, or a picture's features.
impl<E> fmt::Debug for Aligned<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Aligned").field("length", &self.length).finish_non_exhaustive()
    }
}

/// The copy starts at a cache line, too.
impl<E: Element> Clone for Aligned<E> {
    fn clone(&self) -> Self {
        let mut copy = Self::zeroed(self.length);
        copy.copy_from_slice(self);
        copy
    }
}

impl<E> Deref for Aligned<E> {
    type Target = [E];

    fn deref(&self) -> &[E] {
        &self.values[self.start..self.start + self.length]
    }
}

impl<E> DerefMut for Aligned<E> {
    fn deref_mut(&mut self) -> &mut [E] {
        &mut self.values[self.start..self.start + self.length]
    }
}

/// Below this the pages are few and the system call costs more than it saves.
#[cfg(target_os = "linux")]
const WORTH_ADVISING: usize = 4 << 20;

/// `length` zeros, in huge pages where the system grants them on request.
///
/// A fresh 128 MiB result touches 32,768 small pages, and the kernel's work for each (some 1.5 µs on a virtual machine)
/// took five times as long as the scans that fill it. Huge pages of 2 MiB cut that to 64.
pub fn zeroed<E: Element>(length: usize) -> Vec<E> {
    let buffer = vec![E::ZERO; length];
    #[cfg(target_os = "linux")]
    {
        let bytes = size_of_val(&buffer[..]);
        if bytes >= WORTH_ADVISING {
            let address = buffer.as_ptr() as usize;
            // SAFETY: sysconf only reads a constant of the system.
            let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
            let page = usize::try_from(page).unwrap_or(4096).max(1);
            let start = address.next_multiple_of(page);
            let inside = (address + bytes).saturating_sub(start) / page * page;
            // SAFETY: the range lies inside the buffer just allocated, and this advice changes neither its contents nor
            // what may be done with it; where the kernel declines, nothing happens.
            unsafe { libc::madvise(start as *mut libc::c_void, inside, libc::MADV_HUGEPAGE) };
        }
    }
    buffer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aligned_buffers_start_at_a_line_and_hold_what_was_written() {
        for length in [0, 1, 15, 1000, (4 << 20) / 4 + 3] {
            let mut buffer = Aligned::<f32>::zeroed(length);
            assert!(buffer.len() == length && (length == 0 || buffer.as_ptr().addr().is_multiple_of(LINE)));
            buffer.fill(2.0);
            let copy = buffer.clone();
            assert!(length == 0 || copy.as_ptr().addr().is_multiple_of(LINE));
            assert_eq!(copy.into_vec(), vec![2.0; length]);
        }
        assert_eq!(Aligned::from(vec![1f64, 2.0]).into_vec(), [1.0, 2.0]);
    }

    #[test]
    fn buffers_of_every_size_are_zero_and_writable() {
        for length in [0, 1, 1000, (4 << 20) / 4 + 3, (9 << 20) / 4 + 1] {
            let mut buffer = zeroed::<f32>(length);
            assert!(buffer.len() == length && buffer.iter().all(|&x| x == 0.0));
            buffer.fill(1.0);
            assert_eq!(buffer.iter().map(|&x| f64::from(x)).sum::<f64>(), length as f64);
        }
    }
}
