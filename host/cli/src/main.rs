//! Judge work with sandboxed validators.
fn main() {}
