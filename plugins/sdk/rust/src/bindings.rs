//! What wit-bindgen makes of the contract in `wit/`.

pub use wit_bindgen::rt;

wit_bindgen::generate!({
    path: "../../../wit",
    world: "validator",
    generate_all,
    pub_export_macro: true,
    export_macro_name: "export_validator",
    default_bindings_module: "pigeon_plugin::bindings",
    additional_derives: [PartialEq, Clone],
    generate_unused_types: true,
    runtime_path: "::pigeon_plugin::bindings::rt",
});
