//! What the scheduler decides, one rule a test.

mod fleet;
mod groups;
mod leasing;
mod trouble;
