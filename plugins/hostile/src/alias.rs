//! Answers that lie about memory: one text named a hundred times, a text longer than the memory, bytes that are no text.
//!
//! The bindings hand a `String` to the host as its pointer and length. So a `String` that claims memory which it does
//! not own is all it takes; [`Allocator`] keeps it from being given back more often than it was taken.

use std::alloc::{GlobalAlloc, Layout, System};
use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::answer;
use crate::bindings::pigeon::plugin::types::{Finding, Judgement, Severity};

/// The address that is never given back.
static KEPT: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, except that it never frees [`KEPT`].
struct Allocator;

// SAFETY: everything is handed on to the system's allocator; not freeing is always sound.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are those that the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        if memory as usize != KEPT.load(Ordering::Relaxed) {
            // SAFETY: as above.
            unsafe { System.dealloc(memory, layout) }
        }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above.
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

/// `count` findings that share one message of `size` bytes.
pub(crate) fn huge(count: usize, size: usize) -> Judgement {
    let text = ManuallyDrop::new("x".repeat(size));
    KEPT.store(text.as_ptr() as usize, Ordering::Relaxed);
    let findings = (0..count).map(|_| claim(text.as_ptr(), text.len())).collect();
    Judgement { findings, ..answer::valid() }
}

/// A finding whose message ends far behind the memory.
pub(crate) fn lying_length() -> Judgement {
    let text = ManuallyDrop::new("x".repeat(16));
    KEPT.store(text.as_ptr() as usize, Ordering::Relaxed);
    Judgement { findings: vec![claim(text.as_ptr(), 0x7fff_ff00)], ..answer::valid() }
}

/// A finding whose message is no UTF-8.
pub(crate) fn bad_utf8() -> Judgement {
    // SAFETY: none, that is the deed: the text is only handed to the host, which has to check it.
    let message = unsafe { String::from_utf8_unchecked(vec![b'b', 0xff, 0xfe, b'd']) };
    Judgement { findings: vec![answer::finding(Severity::Info, "text", message)], ..answer::valid() }
}

fn claim(memory: *const u8, length: usize) -> Finding {
    // SAFETY: none, that is the deed: nobody in the guest reads the text, and the allocator never frees it.
    let message = unsafe { String::from_raw_parts(memory.cast_mut(), length, length) };
    answer::finding(Severity::Info, "shared", message)
}
