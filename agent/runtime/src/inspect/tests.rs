//! What people are told about files that are no plugins, word for word.

use super::contract::{OFFERED, WASI};
use super::{InspectError, Inspection, NotAComponent, inspect};
use crate::{LoadError, Runtime, RuntimeConfig, World};

/// The message for a component in text form.
fn told(wat: &str) -> String {
    inspect(&wat::parse_str(wat).unwrap()).unwrap_err().to_string()
}

/// The message for bytes as they are.
fn told_of(bytes: &[u8]) -> String {
    inspect(bytes).unwrap_err().to_string()
}

/// A component whose outside is that of a validator, with nothing behind it that would run.
fn validator(imports: &str, exports: &str) -> String {
    format!(
        r#"(component
            {imports}
            (core module $m (func (export "f")))
            (core instance $i (instantiate $m))
            (func $f (canon lift (core func $i "f")))
            (instance $validation
                (export "metadata" (func $f))
                (export "validate" (func $f))
                (export "generate-test-cases" (func $f)))
            (instance $batch (export "validate-batch" (func $f)))
            (instance $half (export "metadata" (func $f)))
            {exports})"#
    )
}

const EXPORT: &str = r#"(export "pigeon:plugin/validation@0.1.0" (instance $validation))"#;

#[test]
fn files_that_are_no_components_are_called_what_they_are() {
    assert_eq!(told_of(b""), "the file is empty");
    assert_eq!(
        told("(module)"),
        "this is a core module, not a component: build it for wasm32-wasip2, or wrap it with `wasm-tools component new`"
    );
    assert_eq!(
        told(r#"(module (import "wasi_snapshot_preview1" "fd_write" (func)))"#),
        "this is a core module for WASI 0.1 (wasm32-wasip1), not a component: build it for wasm32-wasip2, or wrap it \
         with `wasm-tools component new --adapt` and the adapter wasi_snapshot_preview1.reactor.wasm"
    );
    assert_eq!(
        told_of(b"\0asm\x0a\0\x01\0"),
        "this is WebAssembly of an unknown binary version (0x0001000a), perhaps a component of before WASI 0.2: \
         build it anew with current tools"
    );
    assert_eq!(
        told_of(b";; mine\n  (component)"),
        "this is WebAssembly text: turn it into a binary with `wasm-tools parse`"
    );
    assert_eq!(
        told_of(b"{\"sequence\": [1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89]}"),
        "this is a text file, not a WebAssembly component; its first line is `{\"sequence\": [1, 1, 2, 3, 5, 8, 13, 21,...`"
    );
    assert_eq!(
        told_of(b"\x7fELF\x02\x01\x01\0"),
        "this is a native program, not a WebAssembly component: build it for wasm32-wasip2"
    );
    assert_eq!(told_of(b"\x1f\x8b\x08"), "this is a gzip file, not a WebAssembly component: unpack it first");
    assert_eq!(
        told_of(&[0, 1, 2, 3]),
        "this is no WebAssembly: it begins with the bytes 00 01 02 03, not with 00 61 73 6d"
    );
    assert_eq!(told_of(b"\0asm\x0d"), "this file breaks off within the first 8 bytes of a WebAssembly binary");
}

#[test]
fn text_is_known_by_its_start_even_where_a_character_is_cut() {
    let text = format!("{}{}", "a".repeat(511), "ü".repeat(10));
    assert!(matches!(inspect(text.as_bytes()), Err(InspectError::NotAComponent(NotAComponent::Text(_)))));
}

#[test]
fn compiled_code_is_never_taken_for_a_component() {
    let compiled = wasmtime::Engine::default().precompile_component(b"(component)");
    // The engine takes binaries only, as built here.
    let compiled = match compiled {
        Ok(compiled) => compiled,
        Err(_) => wasmtime::Engine::default().precompile_component(&wat::parse_str("(component)").unwrap()).unwrap(),
    };
    assert_eq!(
        told_of(&compiled),
        "this is compiled code of Wasmtime's, which is never taken from outside: give the component itself"
    );
}

#[test]
fn damage_is_told_with_its_place() {
    let whole = wat::parse_str(validator("", EXPORT)).unwrap();
    inspect(&whole).unwrap();
    let mut truncated = 0;
    for end in 9..whole.len() {
        match inspect(&whole[..end]) {
            Err(InspectError::Truncated { .. }) => truncated += 1,
            // Where a section ends, what is left is a whole component, one that exports less or has no names,
            // unless a module within it lacks the section that another one promised.
            Err(InspectError::Misfit { .. } | InspectError::Malformed { .. }) | Ok(_) => {}
            other => panic!("cut at {end}: {other:?}"),
        }
    }
    assert!(truncated > whole.len() * 9 / 10, "{truncated} of {}", whole.len());
    assert_eq!(told_of(&whole[..20]), "the component is truncated: it has 20 bytes, and goes on behind them");
    let mut wrong = whole;
    wrong[8] = 0x63;
    assert_eq!(told_of(&wrong), "the component is malformed at byte 10: malformed section id: 99");
}

#[test]
fn a_validator_is_seen_as_one() {
    let imports = r#"
        (import "wasi:io/poll@0.2.9" (instance (export "poll" (func))))
        (import "wasi:config/store@0.2.0-rc.1" (instance (export "get" (func))))
        (import "pigeon:plugin/llm@0.1.0" (instance (export "models" (func))))
        (import "pigeon:plugin/types@0.1.0" (instance (export "item" (type (eq 0)))))"#;
    let imports = imports.replace(
        "(export \"item\" (type (eq 0)))",
        "(type (record (field \"id\" string))) (export \"item\" (type (eq 0)))",
    );
    let component = wat::parse_str(validator(&imports, EXPORT)).unwrap();
    assert_eq!(
        inspect(&component),
        Ok(Inspection {
            world: World::Validator,
            imports: [
                "wasi:io/poll@0.2.9",
                "wasi:config/store@0.2.0-rc.1",
                "pigeon:plugin/llm@0.1.0",
                "pigeon:plugin/types@0.1.0"
            ]
            .map(String::from)
            .into(),
            exports: vec!["pigeon:plugin/validation@0.1.0".into()],
            powers: vec!["llm".into()],
        })
    );
}

#[test]
fn a_batch_validator_is_seen_as_one() {
    let batch = r#"(export "pigeon:plugin/batch-validation@0.1.0" (instance $batch))"#;
    let component = wat::parse_str(validator("", &format!("{EXPORT}{batch}"))).unwrap();
    assert_eq!(inspect(&component).unwrap().world, World::BatchValidator);
    assert_eq!(
        told(&validator("", batch)),
        "the component fits no world of pigeon:plugin@0.1.0: it does not export pigeon:plugin/validation@0.1.0, only \
         pigeon:plugin/batch-validation@0.1.0"
    );
}

#[test]
fn another_world_is_told_by_its_difference() {
    assert_eq!(
        told("(component)"),
        "the component fits no world of pigeon:plugin@0.1.0: it exports nothing, and a validator exports \
         pigeon:plugin/validation@0.1.0"
    );
    assert_eq!(
        told(&validator(
            "",
            r#"(instance $run (export "run" (func $f))) (export "wasi:cli/run@0.2.6" (instance $run))"#
        )),
        "the component fits no world of pigeon:plugin@0.1.0: it is a command line program (it exports wasi:cli/run), \
         and a validator is a library that exports pigeon:plugin/validation@0.1.0"
    );
    assert_eq!(
        told(&validator("", r#"(export "pigeon:plugin/validation@0.2.0" (instance $validation))"#)),
        "the component fits no world of pigeon:plugin@0.1.0: it exports pigeon:plugin/validation@0.2.0, but this host \
         speaks 0.1.0: build it against that version"
    );
    assert_eq!(
        told(&validator("", r#"(export "validate" (func $f))"#)),
        "the component fits no world of pigeon:plugin@0.1.0: it exports the function `validate` bare, and it belongs \
         into the interface pigeon:plugin/validation@0.1.0"
    );
    assert_eq!(
        told(&validator("", r#"(export "pigeon:plugin/validation@0.1.0" (instance $half))"#)),
        "the component fits no world of pigeon:plugin@0.1.0: its pigeon:plugin/validation@0.1.0 lacks `validate` and \
         `generate-test-cases`"
    );
    assert_eq!(
        told(&validator("", r#"(export "pigeon:plugin/validation@0.1.0" (func $f))"#)),
        "the component fits no world of pigeon:plugin@0.1.0: its export pigeon:plugin/validation@0.1.0 is no interface"
    );
}

#[test]
fn imports_that_nobody_offers_are_named_with_what_there_is() {
    let importing = |name: &str| {
        let message = told(&validator(&format!(r#"(import "{name}" (instance (export "f" (func))))"#), EXPORT));
        let start = "the component fits no world of pigeon:plugin@0.1.0: it imports ";
        message.strip_prefix(start).unwrap_or(&message).to_owned()
    };
    let cases = [
        (
            "wasi:http/outgoing-handler@0.2.0",
            "which nobody here offers: a plugin has no network; a model is asked by pigeon:plugin/llm@0.1.0",
        ),
        (
            "wasi:io/poll@0.3.0",
            "which nobody here offers: this host has WASI 0.2: build it for that, as wasm32-wasip2 does",
        ),
        (
            "wasi:io/poll@0.2.0-rc-2023-12-05",
            "which nobody here offers: this host has WASI 0.2: build it for that, as wasm32-wasip2 does",
        ),
        ("wasi:config/store@0.2.0-draft", "which nobody here offers: this host has wasi:config/store@0.2.0-rc.1"),
        ("wasi:keyvalue/store@0.2.0-draft", "which nobody here offers: it is no power of this version"),
        ("pigeon:plugin/llm@0.2.0", "which nobody here offers: this host has pigeon:plugin/llm@0.1.0"),
        ("pigeon:plugin/storage@0.1.0", "which nobody here offers: of pigeon:plugin@0.1.0 there are `run` and `llm`"),
        (
            "acme:tools/grep",
            "which nobody here offers: there are WASI 0.2, pigeon:plugin/run@0.1.0, pigeon:plugin/llm@0.1.0, \
             wasi:config/store@0.2.0-rc.1, wasi:logging/logging@0.1.0-draft",
        ),
    ];
    for (name, message) in cases {
        assert_eq!(importing(name), format!("{name}, {message}"));
    }
    assert_eq!(
        told(&validator(r#"(import "tick" (func))"#, EXPORT)),
        "the component fits no world of pigeon:plugin@0.1.0: it imports tick, which nobody here offers: functions are \
         imported in interfaces, such as pigeon:plugin/run@0.1.0"
    );
}

#[test]
fn all_differences_are_told_at_once() {
    let message = told(&validator(r#"(import "acme:a/b" (instance (export "f" (func))))"#, ""));
    assert!(message.contains("it exports nothing") && message.contains("; it imports acme:a/b"), "{message}");
}

#[test]
fn no_bytes_make_it_panic() {
    let whole = wat::parse_str(validator("", EXPORT)).unwrap();
    for place in 8..whole.len() {
        for value in [0x00, 0x7f, 0x80, 0xff] {
            let mut bytes = whole.clone();
            bytes[place] = value;
            let _ = inspect(&bytes);
        }
    }
}

/// A function of each interface, or a resource where it has nothing else.
const LINKED: &[(&str, &str)] = &[
    ("pigeon:plugin/run", "seed"),
    ("pigeon:plugin/llm", "models"),
    ("wasi:config/store", "get-all"),
    ("wasi:logging/logging", "log"),
    ("wasi:cli/environment", "get-arguments"),
    ("wasi:cli/exit", "exit"),
    ("wasi:cli/stderr", "get-stderr"),
    ("wasi:cli/stdin", "get-stdin"),
    ("wasi:cli/stdout", "get-stdout"),
    ("wasi:cli/terminal-input", "resource terminal-input"),
    ("wasi:cli/terminal-output", "resource terminal-output"),
    ("wasi:cli/terminal-stderr", "get-terminal-stderr"),
    ("wasi:cli/terminal-stdin", "get-terminal-stdin"),
    ("wasi:cli/terminal-stdout", "get-terminal-stdout"),
    ("wasi:clocks/monotonic-clock", "now"),
    ("wasi:clocks/wall-clock", "now"),
    ("wasi:filesystem/preopens", "get-directories"),
    ("wasi:filesystem/types", "filesystem-error-code"),
    ("wasi:io/error", "resource error"),
    ("wasi:io/poll", "poll"),
    ("wasi:io/streams", "resource input-stream"),
    ("wasi:random/insecure", "get-insecure-random-u64"),
    ("wasi:random/insecure-seed", "insecure-seed"),
    ("wasi:random/random", "get-random-u64"),
    ("wasi:sockets/instance-network", "instance-network"),
    ("wasi:sockets/ip-name-lookup", "resolve-addresses"),
    ("wasi:sockets/network", "resource network"),
    ("wasi:sockets/tcp", "resource tcp-socket"),
    ("wasi:sockets/tcp-create-socket", "create-tcp-socket"),
    ("wasi:sockets/udp", "resource udp-socket"),
    ("wasi:sockets/udp-create-socket", "create-udp-socket"),
];

/// What is said to be offered, the linker has. A function is imported by a type that is wrong, as a rule: what counts is
/// that the linker knows the name.
#[tokio::test]
async fn everything_offered_is_linked() {
    let by_hand = include_str!("../../tests/components/by_hand.wat");
    let config = RuntimeConfig { guest_threads: 1, pool_instances: 2, ..RuntimeConfig::default() };
    let runtime = Runtime::new(config).unwrap();
    let wasi = WASI.iter().map(|interface| format!("{interface}@0.2.0"));
    let exact = OFFERED.iter().map(|interface| (*interface).to_owned());
    // The interface of types has none but types.
    for import in wasi.chain(exact).filter(|import| !import.contains("/types@0.1.0")) {
        let interface = import.split('@').next().unwrap();
        let (_, item) = LINKED.iter().find(|(name, _)| *name == interface).unwrap();
        let item = match item.strip_prefix("resource ") {
            Some(resource) => format!(r#"(export "{resource}" (type (sub resource)))"#),
            None => format!(r#"(export "{item}" (func (param "none-has-this" (list u16))))"#),
        };
        let component =
            by_hand.replacen("(component\n", &format!("(component (import \"{import}\" (instance {item}))\n"), 1);
        match runtime.load(wat::parse_str(component).unwrap().into()).await {
            Ok(_) => assert!(item.contains("resource"), "{import}"),
            Err(LoadError::Link(message)) => {
                assert!(message.contains("its parameters") || message.contains("type mismatch"), "{import}: {message}");
            }
            Err(other) => panic!("{import}: {other}"),
        }
    }
}
