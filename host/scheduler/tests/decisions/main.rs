//! What the scheduler decides, one rule a test.

mod copies;
mod fleet;
mod groups;
mod labels;
mod leasing;
mod stalls;
mod trouble;
