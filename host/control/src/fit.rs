//! Which items can never fit into the memory that a run may have: known from their size, before they are sent.
//!
//! Agents go by the same rule (`memory_bound` of the runtime): a bound that the job sets is what a run gets, whatever
//! the plugin asks for; without one it gets what the plugin asks for, up to 1 GiB. So an item does not fit if the plugin
//! asks for more than that, or if its body alone is larger than the bound that was set: a guest is given it whole.

use pigeon_api::MemoryNeed;
use pigeon_protocol::outcome::{Cause, Failure};
use pigeon_store::Items;

/// Linear memory that a run may have where its job sets no bound, in bytes.
pub const MOST_MEMORY: u64 = 1 << 30;

/// Linear memory that a guest can have at all, in bytes.
const LARGEST_MEMORY: u64 = 4 << 30;

/// What a job's items have to fit into.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fit {
    bound: u64,
    /// Nothing where the job sets the bound.
    need: Option<MemoryNeed>,
}

/// An item that does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Misfit {
    /// Its index in the job.
    pub(crate) item: u64,
    /// Size of its body, in bytes.
    pub(crate) size: u64,
}

impl Fit {
    /// The bound that a job sets, if it does, or what its plugin asks for.
    pub(crate) fn new(need: MemoryNeed, bound: Option<u64>) -> Self {
        match bound {
            Some(bound) => Self { bound, need: None },
            None => Self { bound: MOST_MEMORY, need: Some(need) },
        }
    }

    /// Whether items of so many bytes fit, and so do all smaller ones.
    pub(crate) fn holds(&self, size: u64) -> bool {
        self.need(size) <= self.bound
    }

    /// Those of a chunk that do not fit; its first one has this index.
    pub(crate) fn misfits(&self, first: u64, items: &Items) -> Vec<Misfit> {
        match self.holds(items.bytes()) {
            true => Vec::new(),
            false => self.misfits_of(first, items.sizes()).collect(),
        }
    }

    /// The same of items of these sizes.
    pub(crate) fn misfits_of(&self, first: u64, sizes: impl IntoIterator<Item = u64>) -> impl Iterator<Item = Misfit> {
        (first..).zip(sizes).filter(|(_, size)| !self.holds(*size)).map(|(item, size)| Misfit { item, size })
    }

    /// Why an item of this size could not be judged.
    pub(crate) fn failure(&self, size: u64) -> Failure {
        let (need, bound) = (self.need(size), told(self.bound));
        let needed = told(need.checked_next_multiple_of(1 << 20).unwrap_or(need));
        let why = match self.need {
            Some(_) => format!("a run of this item asks for {needed} of memory, and may have {bound}"),
            None => format!("this item alone has {}, and a run of it may have {bound} of memory", told(size)),
        };
        let advice = match (need > LARGEST_MEMORY, self.need) {
            (true, _) => "no WebAssembly memory is that large, so split the item".to_owned(),
            (false, Some(_)) => format!("--max-memory {needed} would give it that"),
            (false, None) => "--max-memory gives it more".to_owned(),
        };
        Failure {
            cause: Cause::DoesNotFit.into(),
            code: Cause::DoesNotFit.code().to_owned(),
            message: format!("{why}: {advice}"),
            backtrace: String::new(),
        }
    }

    fn need(&self, size: u64) -> u64 {
        self.need.map_or(size, |need| need.of(size))
    }
}

/// A size as options take it: a whole number in its unit or the next smaller one, and else nearly so.
fn told(bytes: u64) -> String {
    let units = [(1u64 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"), (1, "B")];
    let (factor, unit) = units.into_iter().find(|(factor, _)| bytes >= *factor).unwrap_or((1, "B"));
    match units.into_iter().find(|(factor, _)| bytes.is_multiple_of(*factor)) {
        Some((whole, unit)) if factor / whole <= 1024 => format!("{}{unit}", bytes / whole),
        _ => format!("{:.1}{unit}", bytes as f64 / factor as f64),
    }
}

#[cfg(test)]
mod tests {
    use pigeon_store::ItemsBuilder;

    use super::*;

    const MIB: u64 = 1 << 20;
    const NEED: MemoryNeed = MemoryNeed { base: 16 << 20, factor: 24.0 };

    #[test]
    fn without_a_bound_a_run_may_have_what_its_plugin_asks_for_up_to_a_gibibyte() {
        let fit = Fit::new(NEED, None);
        assert!(fit.holds(42 * MIB));
        assert!(!fit.holds(42 * MIB + 1), "16 MiB + 24 x 42 MiB is 1 GiB");
        let failure = fit.failure(43 * MIB);
        assert_eq!((failure.cause(), &*failure.code), (Cause::DoesNotFit, "does-not-fit"));
        assert_eq!(
            failure.message,
            "a run of this item asks for 1048MiB of memory, and may have 1GiB: --max-memory 1048MiB would give it that"
        );
        assert!(fit.failure(64 * MIB * 24).message.ends_with("no WebAssembly memory is that large, so split the item"));
        let greedy = Fit::new(MemoryNeed { base: 2 << 30, factor: 0.0 }, None);
        assert!(!greedy.holds(0), "nothing of it fits");
    }

    #[test]
    fn a_bound_that_was_set_holds_whatever_the_plugin_asks_for_but_not_what_is_larger() {
        let fit = Fit::new(NEED, Some(4 * MIB));
        assert!(fit.holds(4 * MIB) && !fit.holds(4 * MIB + 1));
        assert_eq!(
            fit.failure(9 * MIB / 2 + 7).message,
            "this item alone has 4.5MiB, and a run of it may have 4MiB of memory: --max-memory gives it more"
        );
    }

    #[test]
    fn sizes_are_told_as_they_are_read() {
        let sizes = [8, 2000, 4096, 5 << 20, (5 << 20) + 3, 1 << 30, 1049 << 20, (3 << 30) + 1];
        let expected = ["8B", "2000B", "4KiB", "5MiB", "5.0MiB", "1GiB", "1049MiB", "3.0GiB"];
        assert_eq!(sizes.map(told), expected);
    }

    #[test]
    fn misfits_are_found_among_others() {
        let mut builder = ItemsBuilder::default();
        for size in [10, 3000, 1024, 2000] {
            builder.push("", 0, vec![0; size].into());
        }
        let items = builder.take();
        let misfits = Fit::new(NEED, Some(1024)).misfits(70, &items);
        assert_eq!(misfits, [Misfit { item: 71, size: 3000 }, Misfit { item: 73, size: 2000 }]);
        assert_eq!(Fit::new(NEED, None).misfits(70, &items), []);
    }
}
