//! Signals that ask a program to end.

/// Calls `stop` on Ctrl-C, SIGTERM and the hangup of a terminal. A hangup that was ignored when the program started, as
/// below `nohup`, stays ignored.
pub(crate) fn on_stop_signal(stop: impl FnMut() + Send + 'static) -> Result<(), ctrlc::Error> {
    #[cfg(unix)]
    let ignored = hangup(libc::SIG_IGN) == libc::SIG_IGN;
    ctrlc::set_handler(stop)?;
    #[cfg(unix)]
    if ignored {
        hangup(libc::SIG_IGN);
    }
    Ok(())
}

/// Sets what the hangup does, and gives what it did.
#[cfg(unix)]
fn hangup(does: libc::sighandler_t) -> libc::sighandler_t {
    // SAFETY: the call takes numbers, and what it sets runs no code of ours.
    unsafe { libc::signal(libc::SIGHUP, does) }
}
