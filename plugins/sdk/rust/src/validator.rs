//! The trait that an author implements.

use crate::{Failure, Findings, Item, Judgement, Metadata, Options, TestCase};

/// Judges items, one at a time.
pub trait Validator: Sized {
    /// Reads the options, once an instance and before its first item. Compile here what is worth compiling once: the
    /// options of an instance never change.
    ///
    /// # Errors
    /// A permanent failure where an option makes no sense; it is the answer to every item.
    fn new(options: &Options) -> Result<Self, Failure>;

    /// Judges one item: every finding goes into `findings`, and the verdict follows from them.
    ///
    /// `self` may keep what makes the next item faster, but nothing that could change its answer.
    ///
    /// # Errors
    /// A failure is the lack of a verdict. An item that is bad, in whatever way, gets a finding instead.
    fn validate(&mut self, item: &Item, findings: &mut Findings) -> Result<(), Failure>;

    /// What the plugin says of itself. `crate_says` holds what `Cargo.toml` knows: add to it.
    #[must_use]
    fn metadata(crate_says: Metadata) -> Metadata {
        crate_says
    }

    /// `count` different items, the same for the same seed: some that deserve to be valid and some that do not.
    ///
    /// # Errors
    /// A failure where none can be made. To have none to offer is no failure, but an empty list.
    fn generate_test_cases(count: u32, seed: u64) -> Result<Vec<TestCase>, Failure> {
        let _ = (count, seed);
        Ok(Vec::new())
    }
}

/// Judges one item with a fresh `V`, as a host would: for tests.
///
/// ```
/// # use pigeon_plugin::*;
/// # struct Anything;
/// # impl Validator for Anything {
/// #     fn new(_: &Options) -> Result<Self, Failure> { Ok(Anything) }
/// #     fn validate(&mut self, _: &Item, _: &mut Findings) -> Result<(), Failure> { Ok(()) }
/// # }
/// let judgement = judge::<Anything>(&Options::of([("strict", "true")]), &Item::new("a.txt", "some text"));
/// assert!(judgement.is_ok_and(|judgement| judgement.is_valid()));
/// ```
///
/// # Errors
/// What `V` answers.
pub fn judge<V: Validator>(options: &Options, item: &Item) -> Result<Judgement, Failure> {
    let mut findings = Findings::new();
    V::new(options)?.validate(item, &mut findings)?;
    Ok(findings.into())
}
