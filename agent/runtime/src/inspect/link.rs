//! Wasmtime's linking errors in words for a plugin's author.
//!
//! Wasmtime has no types for these errors, only a chain of texts. So the texts that we know are reworded, and those that
//! we do not know stay as they are: nothing is decided by them.

/// An error that Wasmtime gave when a component was linked or its exports were looked up, in words for its author.
pub fn describe_link_error(error: &wasmtime::Error) -> String {
    error.chain().map(|cause| reword(&cause.to_string())).collect::<Vec<_>>().join(": ")
}

fn reword(text: &str) -> String {
    if text.starts_with("component imports ")
        && let Some(name) = quoted(text)
    {
        return format!("its import {name} does not fit what this host offers");
    }
    if text.starts_with("instance export ")
        && text.ends_with("has the wrong type")
        && let Some(name) = quoted(text)
    {
        return format!("`{name}`");
    }
    match text {
        "function implementation is missing" => "this host has no such function; it may be newer than the host".into(),
        "resource implementation is missing" => "this host has no such resource; it may be newer than the host".into(),
        "type mismatch with parameters" => "its parameters differ from the contract's".into(),
        "type mismatch with results" => "its result differs from the contract's".into(),
        "failed to convert function to given type" => "its type differs from the contract's".into(),
        other => other.into(),
    }
}

fn quoted(text: &str) -> Option<&str> {
    text.split('`').nth(1)
}
