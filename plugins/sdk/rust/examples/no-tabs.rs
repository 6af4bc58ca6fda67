//! A whole validator: text without tab characters. `cargo build --example no-tabs --target wasm32-wasip2` makes the component.

use pigeon_plugin::{Failure, Finding, Findings, Item, Options, Place, Validator};

/// Finds tabs.
pub struct NoTabs;

impl Validator for NoTabs {
    fn new(_: &Options) -> Result<Self, Failure> {
        Ok(NoTabs)
    }
    fn validate(&mut self, item: &Item, findings: &mut Findings) -> Result<(), Failure> {
        let Some(text) = item.text(findings) else { return Ok(()) };
        for (line, _) in (1..).zip(text.lines()).filter(|(_, line)| line.contains('\t')) {
            findings.push(Finding::error("tab", "a tab character").at(Place::line(line)));
        }
        Ok(())
    }
}

pigeon_plugin::export!(NoTabs);

#[cfg(test)]
mod tests {
    use super::*;
    use pigeon_plugin::judge;

    #[test]
    fn tabs_are_found_by_line() {
        let judgement = judge::<NoTabs>(&Options::of_the_job(), &Item::new("a", "a b\nc\td\n")).unwrap();
        assert_eq!(judgement.findings, [Finding::error("tab", "a tab character").at(Place::line(2))]);
        assert!(!judge::<NoTabs>(&Options::of_the_job(), &Item::new("a", b"\xff")).unwrap().is_valid());
    }
}
