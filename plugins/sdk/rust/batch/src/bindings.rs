//! What wit-bindgen makes of the world `batch-validator`; all types are those of [`pigeon_plugin`].
#![expect(missing_docs, reason = "the contract itself is the manual, and generated traits have no comments")]

#[doc(hidden)]
pub use wit_bindgen::rt;

wit_bindgen::generate!({
    path: "../../../../wit",
    world: "batch-validator",
    with: {
        "pigeon:plugin/types@0.1.0": pigeon_plugin::bindings::pigeon::plugin::types,
        "pigeon:plugin/run@0.1.0": pigeon_plugin::bindings::pigeon::plugin::run,
        "pigeon:plugin/llm@0.1.0": pigeon_plugin::bindings::pigeon::plugin::llm,
        "wasi:config/store@0.2.0-rc.1": pigeon_plugin::bindings::wasi::config::store,
        "wasi:logging/logging@0.1.0-draft": pigeon_plugin::bindings::wasi::logging::logging,
    },
    pub_export_macro: true,
    export_macro_name: "export_batch_validator",
    default_bindings_module: "pigeon_plugin_batch::bindings",
    runtime_path: "::pigeon_plugin_batch::bindings::rt",
});
