//! What wit-bindgen makes of the contract in `wit/`. Off wasm the imports are there, and panic when they are called.
#![expect(missing_docs, reason = "the contract itself is the manual, and generated traits have no comments")]

#[doc(hidden)]
pub use wit_bindgen::rt;

wit_bindgen::generate!({
    path: "../../../wit",
    world: "validator",
    generate_all,
    generate_unused_types: true,
    additional_derives: [PartialEq, Clone],
    pub_export_macro: true,
    export_macro_name: "export_validator",
    default_bindings_module: "pigeon_plugin::bindings",
    runtime_path: "::pigeon_plugin::bindings::rt",
});
