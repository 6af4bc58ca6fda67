//! What wit-bindgen makes of the contract in `wit/`. Off wasm the imports are there, and panic when they are called.
#![expect(missing_docs, reason = "the contract itself is the manual, and generated traits have no comments")]

#[doc(hidden)]
pub use wit_bindgen::rt;

// Written down, so that whoever builds a validator need not build wit-bindgen first; `bindings/` holds it to the contract.
#[expect(unreachable_pub, clippy::allow_attributes, clippy::panic, clippy::unwrap_used, reason = "it is generated")]
#[rustfmt::skip]
mod validator;

pub use validator::*;
