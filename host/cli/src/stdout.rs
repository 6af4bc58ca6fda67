//! Whether standard output was there when this process was started.
//!
//! Rust's start-up opens `/dev/null` in the place of a standard stream that is closed, before `main`: a report that is
//! written there is lost, and all looks well. Afterwards it cannot be told from what a caller asked for, since Python's
//! `DEVNULL` and Node's `ignore` are `/dev/null` opened for reading and writing too. So it is asked earlier: where the
//! loader calls what stands in `.init_array`, before Rust's runtime begins.

use std::{
    os::fd::BorrowedFd,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use rustix::io::{Errno, fcntl_getfd};

use crate::exit::Failed;

/// The number of standard output.
const STDOUT: i32 = 1;

static CLOSED: AtomicBool = AtomicBool::new(false);

// SAFETY: what stands in this section is called once, on the only thread, before `main`; `look` has the signature that
// is expected there, and uses nothing that Rust's runtime would have had to set up.
#[cfg(target_os = "linux")]
#[used]
#[unsafe(link_section = ".init_array")]
static LOOK: extern "C" fn() = look;

extern "C" fn look() {
    // SAFETY: nobody else runs yet who could close or open it; and if it is closed, that is the answer.
    let stdout = unsafe { BorrowedFd::borrow_raw(STDOUT) };
    CLOSED.store(fcntl_getfd(stdout) == Err(Errno::BADF), Relaxed);
}

/// See that what is written to standard output goes somewhere; `instead` is what else can be done.
///
/// # Errors
/// If it was closed.
pub(crate) fn check(instead: &str) -> Result<(), Failed> {
    if CLOSED.load(Relaxed) {
        return Err(Failed::usage("standard output is closed: what is written there would be lost").hint(instead));
    }
    Ok(())
}
