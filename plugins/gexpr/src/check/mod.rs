//! The checks that need no evaluation.

pub(crate) mod semantic;
pub(crate) mod syntax;

mod canonical;
