//! The engine settings that bear on compiled code, and a fingerprint of all that decides whether it may be loaded.
//!
//! They stand here, apart from the rest of the engine's configuration (pool, stacks, ticker), because two processes
//! must agree on them: the one that compiles and the one that runs.

use std::hash::{Hash, Hasher};

use ring::digest::{Context, SHA256};
use wasmtime::{Config, Engine, Strategy, WasmBacktraceDetails};

/// What can be chosen about compiled code. Everything else is fixed in [`CodeSettings::config`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CodeSettings {
    /// Count instructions, so that a run can be bounded alike on every machine. Costs speed: off as a rule.
    pub fuel: bool,
}

impl CodeSettings {
    /// An engine configuration with all that bears on code. What a caller adds must not: no target, no
    /// instruction set, no memory layout.
    pub fn config(self) -> Config {
        let mut config = Config::new();
        config
            .strategy(Strategy::Cranelift)
            .epoch_interruption(true)
            .consume_fuel(self.fuel)
            // Runs are deterministic, whatever the machine.
            .cranelift_nan_canonicalization(true)
            .relaxed_simd_deterministic(true)
            // A trap names the guest's functions, and its lines where the component carries them.
            .wasm_backtrace_details(WasmBacktraceDetails::Enable)
            .parallel_compilation(true);
        config
    }
}

/// Names everything that compiled code depends on: Wasmtime's version, the settings, and this CPU's features.
/// Equal fingerprints mean that code compiled there may be loaded here.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fingerprint([u8; 32]);

impl Fingerprint {
    pub(crate) fn of(engine: &Engine) -> Fingerprint {
        let mut hasher = Sha256Hasher(Context::new(&SHA256));
        // Wasmtime's version, the target, Cranelift's flags and Wasmtime's own tunables.
        engine.precompile_compatibility_hash().hash(&mut hasher);
        for feature in cpu_features() {
            hasher.0.update(feature.as_bytes());
            hasher.0.update(b"\0");
        }
        Fingerprint(super::to_array(hasher.0.finish()))
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    pub(crate) fn to_hex(self) -> String {
        super::hex(&self.0)
    }
}

/// A hasher that is the same in every process, which the standard library's are not.
struct Sha256Hasher(Context);

impl Hasher for Sha256Hasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let digest = self.0.clone().finish();
        let mut first = [0; 8];
        first.copy_from_slice(&digest.as_ref()[..8]);
        u64::from_le_bytes(first)
    }
}

/// The features of this CPU that Cranelift makes use of.
#[cfg(target_arch = "x86_64")]
fn cpu_features() -> Vec<&'static str> {
    macro_rules! detected {
        ($($name:tt),* $(,)?) => {
            [$(($name, std::arch::is_x86_feature_detected!($name))),*]
        };
    }
    let all = detected![
        "sse3",
        "ssse3",
        "sse4.1",
        "sse4.2",
        "cmpxchg16b",
        "popcnt",
        "avx",
        "avx2",
        "fma",
        "bmi1",
        "bmi2",
        "lzcnt",
        "avx512bitalg",
        "avx512dq",
        "avx512f",
        "avx512vl",
        "avx512vbmi",
    ];
    all.into_iter().filter_map(|(name, detected)| detected.then_some(name)).collect()
}

/// The features of this CPU that Cranelift makes use of.
#[cfg(target_arch = "aarch64")]
fn cpu_features() -> Vec<&'static str> {
    macro_rules! detected {
        ($($name:tt),* $(,)?) => {
            [$(($name, std::arch::is_aarch64_feature_detected!($name))),*]
        };
    }
    let all = detected!["lse", "paca", "fp16", "bti"];
    all.into_iter().filter_map(|(name, detected)| detected.then_some(name)).collect()
}

/// Elsewhere the flags in Wasmtime's own hash are all that is known.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn cpu_features() -> Vec<&'static str> {
    Vec::new()
}
