//! Builds the guests for wasm32-wasip2 with a cargo of its own and hands their components to `src/lib.rs`.
//!
//! The nested build shares nothing with the outer one but the registry and the job server: flags, wrappers and
//! profiles of the host (clippy, coverage, sanitizers) would build other components, or none. Its target folder
//! stands beside the outer profiles' folders, so that a debug build, a release build and their tests compile the
//! guests once.

use std::env;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

const TARGET: &str = "wasm32-wasip2";

/// The built-in validators, in the order in which lists show them.
const BUILT_IN: &[&str] = &["gexpr", "json", "echo"];

/// The components that are made of the hostile guest: each by a feature of its own, which names the file.
const HOSTILE: &[(&str, Option<&str>)] =
    &[("hostile", None), ("hostile-fresh", Some("fresh")), ("hostile-batch", Some("batch"))];

fn main() -> ExitCode {
    match build() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

fn build() -> Result<(), String> {
    let out = PathBuf::from(variable("OUT_DIR")?);
    let plugins = PathBuf::from(variable("CARGO_MANIFEST_DIR")?).join("..");
    let plugins =
        fs::canonicalize(&plugins).map_err(|error| format!("failed to find {}: {error}", plugins.display()))?;
    let hostile = env::var_os("CARGO_FEATURE_HOSTILE").is_some();
    watch(&plugins, hostile);
    check_target()?;

    let target_dir = target_dir(&out);
    let _alone = lock(&target_dir)?;
    let built_in = BUILT_IN.iter().map(|guest| (*guest, *guest, None));
    let hostile = HOSTILE.iter().filter(|_| hostile).map(|(name, feature)| ("hostile", *name, *feature));
    for (guest, name, feature) in built_in.chain(hostile) {
        compile(&plugins, &target_dir, guest, feature)?;
        let built = target_dir.join(TARGET).join("release").join(format!("{guest}.wasm"));
        let kept = out.join(format!("{name}.wasm"));
        fs::copy(&built, &kept)
            .map_err(|error| format!("failed to copy {} to {}: {error}", built.display(), kept.display()))?;
    }

    let mut table = String::from("&[\n");
    for guest in BUILT_IN {
        let _ = writeln!(
            table,
            "    BuiltIn {{ name: {guest:?}, component: include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{guest}.wasm\")) }},"
        );
    }
    table.push(']');
    let table_path = out.join("built_in.rs");
    fs::write(&table_path, table).map_err(|error| format!("failed to write {}: {error}", table_path.display()))
}

/// One component. One at a time: where a guest is a library as well, for its benches and fuzzers, it is only linked
/// through as a whole if nothing but the component is asked for.
fn compile(plugins: &Path, target_dir: &Path, guest: &str, feature: Option<&str>) -> Result<(), String> {
    let mut cargo = Command::new(variable("CARGO")?);
    cargo.current_dir(plugins);
    cargo.args(["rustc", "--locked", "--release", "--lib", "--crate-type", "cdylib"]);
    cargo.args(["--target", TARGET, "--package", guest]).arg("--target-dir").arg(target_dir);
    cargo.args(feature.iter().flat_map(|feature| ["--features", feature]));
    for (name, _) in env::vars_os().filter(|(name, _)| is_of_the_outer_build(name)) {
        cargo.env_remove(name);
    }
    let status = cargo.status().map_err(|error| format!("failed to start cargo for the guest {guest}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("failed to build the guest {guest}: cargo ended with {status}")) }
}

/// Whether a variable says how the outer build builds. What says where packages come from (`CARGO_HOME`,
/// `CARGO_NET_*`, `CARGO_REGISTRIES_*` and so on), and the job server's `CARGO_MAKEFLAGS`, go through.
fn is_of_the_outer_build(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else { return false };
    const NAMES: &[&str] = &[
        "RUSTFLAGS",
        "RUSTDOCFLAGS",
        "RUSTC_WRAPPER",
        "RUSTC_WORKSPACE_WRAPPER",
        "RUSTC_LINKER",
        "CARGO_ENCODED_RUSTFLAGS",
        "CARGO_INCREMENTAL",
        "CARGO_TARGET_DIR",
        "CARGO_PRIMARY_PACKAGE",
        "CLIPPY_ARGS",
        "CLIPPY_CONF_DIR",
        "LLVM_PROFILE_FILE",
        "TARGET",
        "HOST",
        "OUT_DIR",
        "OPT_LEVEL",
        "PROFILE",
        "DEBUG",
        "NUM_JOBS",
    ];
    const PREFIXES: &[&str] = &[
        "CARGO_BUILD_",
        "CARGO_CFG_",
        "CARGO_FEATURE_",
        "CARGO_MANIFEST_",
        "CARGO_PKG_",
        "CARGO_PROFILE_",
        "CARGO_TARGET_",
        "DEP_",
    ];
    NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// `target/guests` of the outer build, or a folder of our own where the outer one does not look as it does today.
fn target_dir(out: &Path) -> PathBuf {
    // OUT_DIR is target/[TRIPLE/]PROFILE/build/PACKAGE/out.
    match (out.ancestors().nth(2), out.ancestors().nth(4)) {
        (Some(build), Some(target)) if build.ends_with("build") => target.join("guests"),
        _ => out.join("guests"),
    }
}

/// Held from the first compilation to the last copy. Cargo locks the folder while it builds, but a debug and a release
/// build of the outer workspace may both be here, and one would copy what the other is about to replace.
fn lock(target_dir: &Path) -> Result<fs::File, String> {
    let path = target_dir.join(".pigeon-lock");
    let locked = fs::create_dir_all(target_dir).and_then(|()| fs::File::create(&path)).and_then(|file| {
        file.lock()?;
        Ok(file)
    });
    locked.map_err(|error| format!("failed to lock {}: {error}", path.display()))
}

fn watch(plugins: &Path, hostile: bool) {
    let mut watched =
        vec!["Cargo.toml", "Cargo.lock", ".cargo", "sdk/rust", "strict-json", "../wit", "../rust-toolchain.toml"];
    watched.extend(BUILT_IN);
    if hostile {
        watched.push("hostile");
    }
    for path in watched {
        for part in ["src", "Cargo.toml"].map(|part| plugins.join(path).join(part)) {
            if part.exists() {
                println!("cargo::rerun-if-changed={}", part.display());
            }
        }
        let path = plugins.join(path);
        if path.exists() && !path.join("Cargo.toml").exists() {
            println!("cargo::rerun-if-changed={}", path.display());
        }
    }
}

/// A missing target is the one thing that a fresh machine may lack: say so before rustc says that it cannot find std.
fn check_target() -> Result<(), String> {
    let rustc = variable("RUSTC")?;
    let printed = Command::new(&rustc)
        .args(["--print", "target-libdir", "--target", TARGET])
        .output()
        .map_err(|error| format!("failed to start {rustc}: {error}"))?;
    let folder = PathBuf::from(String::from_utf8_lossy(&printed.stdout).trim());
    if printed.status.success() && folder.is_dir() {
        return Ok(());
    }
    Err(format!(
        "the target {TARGET} is not installed, and the built-in validators need it\nhint: rustup target add {TARGET}"
    ))
}

fn variable(name: &str) -> Result<String, String> {
    env::var(name).map_err(|error| format!("failed to read the variable {name}: {error}"))
}
