//! What the scheduler decides, one rule a test.

mod fleet;
mod leasing;
mod trouble;
