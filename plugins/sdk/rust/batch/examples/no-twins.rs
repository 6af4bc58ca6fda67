//! A whole batch validator: items that are the same as another one of their batch are told.

use std::collections::BTreeMap;

use pigeon_plugin::{Failure, Finding, Findings, Item, Options, Validator};
use pigeon_plugin_batch::{BatchValidator, ItemFailure};

/// Finds items with equal bodies.
pub struct NoTwins;

impl Validator for NoTwins {
    fn new(_: &Options) -> Result<Self, Failure> {
        Ok(NoTwins)
    }
    fn validate(&mut self, _: &Item, _: &mut Findings) -> Result<(), Failure> {
        Ok(())
    }
}

impl BatchValidator for NoTwins {
    fn validate_batch(&mut self, items: &[Item], findings: &mut [Findings]) -> Result<Vec<ItemFailure>, Failure> {
        let mut first = BTreeMap::new();
        for (item, findings) in items.iter().zip(findings) {
            let twin = *first.entry(&item.body).or_insert(&item.id);
            if twin != &item.id {
                findings.push(Finding::error("twin", format!("the same as {twin}")));
            }
        }
        Ok(Vec::new())
    }
}

pigeon_plugin_batch::export_batch!(NoTwins);

#[cfg(test)]
mod tests {
    use super::*;
    use pigeon_plugin_batch::judge_batch;

    #[test]
    fn twins_are_told() {
        let items = [Item::new("a", "1"), Item::new("b", "2"), Item::new("c", "1")];
        let answers = judge_batch::<NoTwins>(&Options::of_the_job(), &items);
        let valid: Vec<_> = answers.into_iter().map(|answer| answer.unwrap().is_valid()).collect();
        assert_eq!(valid, [true, true, false]);
    }
}
