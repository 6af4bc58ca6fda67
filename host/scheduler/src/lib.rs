//! The queue's brain: pure, no I/O, no clock: (state, now, event) -> actions.
