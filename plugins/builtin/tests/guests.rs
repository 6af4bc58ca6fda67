//! The guests' own tests, run natively as part of the host's: one command tests everything.

use std::path::Path;
use std::process::Command;

/// The guest workspace cannot be tested by the outer cargo, whose target it does not share, so that this asks another
/// one. Its target folder lies in the outer one's.
#[test]
fn the_guests_pass_their_tests() {
    let plugins = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(plugins).args(["test", "--locked", "--workspace", "--quiet"]);
    cargo.arg("--target-dir").arg(Path::new(env!("CARGO_TARGET_TMPDIR")).join("guests"));
    for (name, _) in std::env::vars_os() {
        let outer = name.to_str().is_some_and(|name| {
            name.starts_with("CARGO_PKG_")
                || name.starts_with("CARGO_MANIFEST_")
                || name.starts_with("CARGO_PROFILE_")
                || name.starts_with("CARGO_BIN_")
        });
        if outer {
            cargo.env_remove(name);
        }
    }
    let output = cargo.output().unwrap();
    assert!(
        output.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn each_built_in_is_a_component() {
    for built_in in pigeon_plugins::BUILT_IN {
        // The preamble of the binary format: magic, version 13, layer 1.
        assert_eq!(built_in.component.get(..8), Some(&b"\0asm\x0d\0\x01\0"[..]), "{built_in:?}");
        assert_eq!(pigeon_plugins::built_in(built_in.name).map(|found| found.name), Some(built_in.name));
    }
    assert!(pigeon_plugins::built_in("GEXPR").is_none());
}
