//! How many decisions a second the scheduler makes.

fn main() {}
