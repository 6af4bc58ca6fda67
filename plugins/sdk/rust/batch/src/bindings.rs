//! What wit-bindgen makes of the world `batch-validator`; all types are those of [`pigeon_plugin`].
#![expect(missing_docs, reason = "the contract itself is the manual, and generated traits have no comments")]

#[doc(hidden)]
pub use wit_bindgen::rt;

// Written down, and held to the contract, as those of the world `validator` are.
#[expect(unreachable_pub, clippy::allow_attributes, clippy::unwrap_used, reason = "it is generated")]
#[rustfmt::skip]
mod batch_validator;

pub use batch_validator::*;
