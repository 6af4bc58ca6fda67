//! Whether standard output was there when this process was started.
//!
//! Rust's start-up opens `/dev/null` in the place of a standard stream that is closed, before `main`: a report that is
//! written there is lost, and all looks well. Afterwards it cannot be told from what a caller asked for, since Python's
//! `DEVNULL` and Node's `ignore` are `/dev/null` opened for reading and writing too. So it is asked earlier: where the
//! loader calls what stands in `.init_array`, before Rust's runtime begins.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::exit::Failed;

static CLOSED: AtomicBool = AtomicBool::new(false);

// SAFETY: what stands in this section is called once, on the only thread, before `main`; `look` has the signature that
// is expected there, and uses nothing that Rust's runtime would have had to set up: two system calls and an atomic.
#[cfg(target_os = "linux")]
#[used]
#[unsafe(link_section = ".init_array")]
static LOOK: extern "C" fn() = look;

/// Ask by name: what is closed may not be borrowed. Where there is no `/proc` it is taken to be open.
#[cfg(target_os = "linux")]
extern "C" fn look() {
    use rustix::{fs::lstat, io::Errno};

    let missing = lstat(c"/proc/self/fd/1").is_err_and(|error| error == Errno::NOENT);
    CLOSED.store(missing && lstat(c"/proc/self/fd").is_ok(), Relaxed);
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
