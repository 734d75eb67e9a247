//! Large result buffers.

use crate::element::Element;

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
    fn buffers_of_every_size_are_zero_and_writable() {
        for length in [0, 1, 1000, (4 << 20) / 4 + 3, (9 << 20) / 4 + 1] {
            let mut buffer = zeroed::<f32>(length);
            assert!(buffer.len() == length && buffer.iter().all(|&x| x == 0.0));
            buffer.fill(1.0);
            assert_eq!(buffer.iter().map(|&x| f64::from(x)).sum::<f64>(), length as f64);
        }
    }
}
