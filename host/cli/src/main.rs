//! Judge work with sandboxed validators.
mod input;
mod units;
fn main() {}
