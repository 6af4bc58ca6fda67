//! For Pigeon validators that gain from seeing several items together: one question to a model for ten of them, or
//! duplicates across them.
//!
//! Implement [`Validator`] as ever, [`BatchValidator`] besides, and export with [`export_batch!`] instead. The items of a
//! batch share time and fate: one budget for the call, and where it traps the host narrows the batch down by halves
//! until the item that does it stands alone. `examples/no-twins.rs` is a whole one.
//!
//! It is a crate of its own because a component says in its binary which world it is of, and linking this one says
//! `batch-validator`.

extern crate self as pigeon_plugin_batch;

pub mod bindings;

use std::cell::RefCell;

use pigeon_plugin::{Failure, Findings, Item, Judgement, Options, Validator};

/// Judges items together.
pub trait BatchValidator: Validator {
    /// Judges `items`, whose findings go into the one of `findings` at the same place.
    ///
    /// # Errors
    /// A failure of the whole batch. A failure of one item alone goes to its place in what is returned.
    fn validate_batch(&mut self, items: &[Item], findings: &mut [Findings]) -> Result<Vec<ItemFailure>, Failure>;
}

/// One item of a batch could not be judged.
#[derive(Debug, Clone, PartialEq)]
pub struct ItemFailure {
    /// Its place in the batch, from 0.
    pub index: usize,
    /// Why.
    pub failure: Failure,
}

/// Judges a batch with a fresh `V`, as a host would: for tests. The answers stand in the order of the items.
pub fn judge_batch<V: BatchValidator>(options: &Options, items: &[Item]) -> Vec<Result<Judgement, Failure>> {
    match V::new(options) {
        Ok(mut validator) => answers(&mut validator, items),
        Err(failure) => items.iter().map(|_| Err(failure.clone())).collect(),
    }
}

fn answers<V: BatchValidator>(validator: &mut V, items: &[Item]) -> Vec<Result<Judgement, Failure>> {
    let mut findings: Vec<Findings> = items.iter().map(|_| Findings::new()).collect();
    match validator.validate_batch(items, &mut findings) {
        Ok(failures) => {
            let mut answers: Vec<_> = findings.into_iter().map(|findings| Ok(findings.into())).collect();
            for ItemFailure { index, failure } in failures {
                if let Some(answer) = answers.get_mut(index) {
                    *answer = Err(failure);
                }
            }
            answers
        }
        Err(failure) => items.iter().map(|_| Err(failure.clone())).collect(),
    }
}

/// Where an exported validator lives between two calls. Made by [`export_batch!`] alone.
#[doc(hidden)]
pub struct Slot<V>(RefCell<Option<V>>);

impl<V: BatchValidator> Slot<V> {
    #[must_use]
    pub const fn empty() -> Self {
        Slot(RefCell::new(None))
    }

    /// Judges one item.
    ///
    /// # Errors
    /// What the validator answers.
    pub fn validate(&self, item: &Item) -> Result<Judgement, Failure> {
        self.with(|validator| {
            let mut findings = Findings::new();
            validator.validate(item, &mut findings)?;
            Ok(findings.into())
        })?
    }

    /// Judges several.
    pub fn validate_batch(&self, items: &[Item]) -> Vec<Result<Judgement, Failure>> {
        match self.with(|validator| answers(validator, items)) {
            Ok(answers) => answers,
            Err(failure) => items.iter().map(|_| Err(failure.clone())).collect(),
        }
    }

    fn with<T>(&self, call: impl FnOnce(&mut V) -> T) -> Result<T, Failure> {
        let mut slot = self.0.borrow_mut();
        let validator = match slot.take() {
            Some(validator) => validator,
            None => V::new(&Options::of_the_job())?,
        };
        Ok(call(slot.insert(validator)))
    }
}

/// Makes a [`BatchValidator`] what the component exports. Once a crate, instead of [`pigeon_plugin::export!`].
#[macro_export]
macro_rules! export_batch {
    ($validator:ty) => {
        #[doc(hidden)]
        pub struct PigeonExport;

        const _: () = {
            use $crate::bindings::exports::pigeon::plugin::{batch_validation, validation};

            ::std::thread_local! {
                static VALIDATOR: $crate::Slot<$validator> = const { $crate::Slot::empty() };
            }

            impl validation::Guest for PigeonExport {
                fn metadata() -> validation::PluginMetadata {
                    <$validator as ::pigeon_plugin::Validator>::metadata(::pigeon_plugin::Metadata::new(
                        ::core::env!("CARGO_PKG_NAME"),
                        ::core::env!("CARGO_PKG_VERSION"),
                        ::core::env!("CARGO_PKG_DESCRIPTION"),
                    ))
                }

                fn validate(item: validation::Item) -> ::core::result::Result<validation::Judgement, validation::Failure> {
                    VALIDATOR.with(|validator| validator.validate(&item))
                }

                fn generate_test_cases(
                    count: u32,
                    seed: u64,
                ) -> ::core::result::Result<::std::vec::Vec<validation::TestCase>, validation::Failure> {
                    <$validator as ::pigeon_plugin::Validator>::generate_test_cases(count, seed)
                }
            }

            impl batch_validation::Guest for PigeonExport {
                fn validate_batch(
                    items: ::std::vec::Vec<batch_validation::Item>,
                ) -> ::std::vec::Vec<::core::result::Result<batch_validation::Judgement, batch_validation::Failure>> {
                    VALIDATOR.with(|validator| validator.validate_batch(&items))
                }
            }
        };

        #[cfg(target_family = "wasm")]
        $crate::bindings::export_batch_validator!(PigeonExport with_types_in $crate::bindings);
    };
}
