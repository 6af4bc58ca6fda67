//! From a validator to a component's exports.

use std::cell::RefCell;

use crate::{Failure, Findings, Item, Judgement, Options, Validator};

/// Where an exported validator lives between two calls. Made by [`export!`](crate::export) alone.
#[doc(hidden)]
pub struct Slot<V>(RefCell<Option<V>>);

impl<V: Validator> Slot<V> {
    #[must_use]
    pub const fn empty() -> Self {
        Slot(RefCell::new(None))
    }

    /// Judges an item with the validator in the slot, which is made first where there is none.
    ///
    /// # Errors
    /// What the validator answers. The validator is dropped then: hosts throw such an instance away, and one that
    /// does not gets a new validator.
    pub fn validate(&self, item: &Item) -> Result<Judgement, Failure> {
        let mut slot = self.0.borrow_mut();
        let mut validator = match slot.take() {
            Some(validator) => validator,
            None => V::new(&Options::of_the_job())?,
        };
        let mut findings = Findings::new();
        validator.validate(item, &mut findings)?;
        *slot = Some(validator);
        Ok(findings.into())
    }
}

/// Makes a [`Validator`] what the component exports. Once a crate.
///
/// Off wasm it exports nothing, so that the crate builds and its tests run everywhere.
#[macro_export]
macro_rules! export {
    ($validator:ty) => {
        #[doc(hidden)]
        pub struct PigeonExport;

        const _: () = {
            ::std::thread_local! {
                static VALIDATOR: $crate::Slot<$validator> = const { $crate::Slot::empty() };
            }

            impl $crate::bindings::exports::pigeon::plugin::validation::Guest for PigeonExport {
                fn metadata() -> $crate::Metadata {
                    <$validator as $crate::Validator>::metadata($crate::Metadata::new(
                        ::core::env!("CARGO_PKG_NAME"),
                        ::core::env!("CARGO_PKG_VERSION"),
                        ::core::env!("CARGO_PKG_DESCRIPTION"),
                    ))
                }

                fn validate(item: $crate::Item) -> ::core::result::Result<$crate::Judgement, $crate::Failure> {
                    VALIDATOR.with(|validator| validator.validate(&item))
                }

                fn generate_test_cases(
                    count: u32,
                    seed: u64,
                ) -> ::core::result::Result<::std::vec::Vec<$crate::TestCase>, $crate::Failure> {
                    <$validator as $crate::Validator>::generate_test_cases(count, seed)
                }
            }
        };

        #[cfg(target_family = "wasm")]
        $crate::bindings::export_validator!(PigeonExport with_types_in $crate::bindings);
    };
}
