//! The bindings of the SDK are written down, so that nobody who builds a validator has to build first what makes them. They
//! are what wit-bindgen makes of the contract today; where they are not, `UPDATE=1 cargo test -p pigeon-plugin-bindings` in
//! `plugins/` writes them anew. A crate of its own, since the SDK may not build before that.

#![cfg(test)]

use std::{env, fs, path::Path};

use wit_bindgen_core::{Files, WorldGenerator as _, wit_parser::Resolve};
use wit_bindgen_rust::{Opts, WithOption};

/// How a world is written down in a crate.
fn opts(world: &str, krate: &str) -> Opts {
    Opts {
        format: true,
        generate_all: true,
        pub_export_macro: true,
        export_macro_name: Some(format!("export_{}", world.replace('-', "_"))),
        default_bindings_module: Some(format!("{krate}::bindings")),
        runtime_path: Some(format!("::{krate}::bindings::rt")),
        ..Opts::default()
    }
}

#[track_caller]
fn hold(world: &str, opts: Opts, file: &str) {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_path(here.join("../../../../wit")).unwrap();
    let world = resolve.select_world(&[package], Some(world)).unwrap();
    let mut files = Files::default();
    opts.build().generate(&mut resolve, world, &mut files).unwrap();
    let (_, made) = files.iter().next().unwrap();
    let kept = here.join(file);
    if env::var_os("UPDATE").is_some() {
        fs::write(&kept, made).unwrap();
    }
    let kept = fs::read(&kept).unwrap_or_default();
    let anew = "`UPDATE=1 cargo test -p pigeon-plugin-bindings` in plugins/ writes it anew";
    assert!(kept == made, "{file} is not what the contract says: {anew}");
}

#[test]
fn the_bindings_of_validator_are_those_of_the_contract() {
    let mut opts = opts("validator", "pigeon_plugin");
    opts.generate_unused_types = true;
    opts.additional_derive_attributes = ["PartialEq", "Clone"].map(str::to_owned).to_vec();
    hold("validator", opts, "../src/bindings/validator.rs");
}

#[test]
fn the_bindings_of_batch_validator_are_those_of_the_contract() {
    let mut opts = opts("batch-validator", "pigeon_plugin_batch");
    let types = [
        ("pigeon:plugin/types@0.1.0", "pigeon::plugin::types"),
        ("pigeon:plugin/run@0.1.0", "pigeon::plugin::run"),
        ("pigeon:plugin/llm@0.1.0", "pigeon::plugin::llm"),
        ("wasi:config/store@0.2.0-rc.1", "wasi::config::store"),
        ("wasi:logging/logging@0.1.0-draft", "wasi::logging::logging"),
    ];
    let shared = |path| WithOption::Path(format!("pigeon_plugin::bindings::{path}"));
    opts.with = types.map(|(interface, path)| (interface.to_owned(), shared(path))).to_vec();
    hold("batch-validator", opts, "../batch/src/bindings/batch_validator.rs");
}
