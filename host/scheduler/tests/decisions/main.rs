//! What the scheduler decides, one rule a test.

mod fleet;
mod groups;
mod labels;
mod leasing;
mod stalls;
mod trouble;
