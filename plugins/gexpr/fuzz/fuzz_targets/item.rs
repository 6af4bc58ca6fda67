//! Any bytes, through all checks, twice in one instance: nothing panics, and the answers are the same.
//!
//! `cargo +nightly fuzz run item fuzz/corpus/item examples`, in the folder above.
#![no_main]

use gexpr::Gexpr;
use libfuzzer_sys::fuzz_target;
use pigeon_plugin::{Findings, Item, Judgement, Options, Validator};

fuzz_target!(|body: &[u8]| {
    let options = Options::of([
        ("validation_types", "syntax,semantic,execution"),
        ("test_inputs", r#"[[],[3],{"args":[1,{"a":[true]}],"expect":"x"}]"#),
        ("max_steps", "5000"),
    ]);
    let Ok(mut validator) = Gexpr::new(&options) else { unreachable!("the options are good") };
    let item = Item::new("fuzz", body);
    let mut judge = || {
        let mut findings = Findings::new();
        validator.validate(&item, &mut findings).map(|()| Judgement::from(findings))
    };
    let first = judge();
    assert!(first.is_ok());
    assert_eq!(first, judge());
});
