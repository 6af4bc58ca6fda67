//! What this host offers and asks for, and how a component differs from it.
//!
//! The tables here repeat what `wit/` says and what the linker is given. `everything_offered_is_linked` holds them together.

use std::fmt::{self, Display, Formatter};

use super::CONTRACT_VERSION;
use super::outside::{Item, Outside, Shape};
use crate::World;

const VALIDATION: &str = "pigeon:plugin/validation@0.1.0";
const BATCH_VALIDATION: &str = "pigeon:plugin/batch-validation@0.1.0";

/// What a validator must export, and the functions in it.
const VALIDATION_FUNCTIONS: &[&str] = &["metadata", "validate", "generate-test-cases"];
const BATCH_VALIDATION_FUNCTIONS: &[&str] = &["validate-batch"];

/// Interfaces that are powers, by the name that they are granted under.
pub(super) const POWERS: &[(&str, &str)] = &[("pigeon:plugin/llm@0.1.0", "llm")];

/// Interfaces that are offered in exactly this version.
pub(super) const OFFERED: &[&str] = &[
    "pigeon:plugin/types@0.1.0",
    "pigeon:plugin/run@0.1.0",
    "pigeon:plugin/llm@0.1.0",
    "wasi:config/store@0.2.0-rc.1",
    "wasi:logging/logging@0.1.0-draft",
];

/// Interfaces of WASI 0.2, offered in every 0.2.x: they are compatible with one another.
pub(super) const WASI: &[&str] = &[
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stderr",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stderr",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:filesystem/preopens",
    "wasi:filesystem/types",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:random/random",
    "wasi:sockets/instance-network",
    "wasi:sockets/ip-name-lookup",
    "wasi:sockets/network",
    "wasi:sockets/tcp",
    "wasi:sockets/tcp-create-socket",
    "wasi:sockets/udp",
    "wasi:sockets/udp-create-socket",
];

/// One way in which a component differs from the contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// It does not export what every validator does.
    NoValidation {
        /// What it exports instead.
        exports: Vec<String>,
    },
    /// It exports an interface of the contract in a version that this host does not speak.
    OtherVersion {
        /// What it exports.
        export: String,
    },
    /// A function stands bare in the world, outside its interface.
    BareFunction {
        /// Its name.
        function: String,
    },
    /// An exported interface lacks functions.
    MissingFunctions {
        /// The interface.
        interface: String,
        /// What it lacks.
        functions: Vec<String>,
    },
    /// It exports something by an interface's name that is none.
    NotAnInterface {
        /// Its name.
        export: String,
    },
    /// It imports what nobody here offers.
    UnknownImport {
        /// What it imports.
        import: String,
        /// What there is instead, as the end of a sentence.
        instead: String,
    },
}

impl Display for Difference {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Difference::NoValidation { exports } if exports.is_empty() => {
                write!(f, "it exports nothing, and a validator exports {VALIDATION}")
            }
            Difference::NoValidation { exports } if exports.iter().any(|export| export.starts_with("wasi:cli/run")) => {
                write!(
                    f,
                    "it is a command line program (it exports wasi:cli/run), and a validator is a library that exports \
                     {VALIDATION}"
                )
            }
            Difference::NoValidation { exports } => {
                write!(f, "it does not export {VALIDATION}, only {}", exports.join(", "))
            }
            Difference::OtherVersion { export } => {
                write!(f, "it exports {export}, but this host speaks {CONTRACT_VERSION}: build it against that version")
            }
            Difference::BareFunction { function } => {
                write!(f, "it exports the function `{function}` bare, and it belongs into the interface {VALIDATION}")
            }
            Difference::MissingFunctions { interface, functions } => {
                let functions: Vec<_> = functions.iter().map(|name| format!("`{name}`")).collect();
                write!(f, "its {interface} lacks {}", functions.join(" and "))
            }
            Difference::NotAnInterface { export } => {
                write!(f, "its export {export} is no interface")
            }
            Difference::UnknownImport { import, instead } => {
                write!(f, "it imports {import}, which nobody here offers: {instead}")
            }
        }
    }
}

/// Which world the exports belong to.
pub(super) fn world(outside: &Outside) -> World {
    if outside.exports.iter().any(|export| export.name == BATCH_VALIDATION) {
        World::BatchValidator
    } else {
        World::Validator
    }
}

/// All that keeps a component from fitting a world.
pub(super) fn differences(outside: &Outside) -> Vec<Difference> {
    let mut found = exports(&outside.exports);
    found.extend(outside.imports.iter().filter_map(import));
    found
}

fn exports(exports: &[Item]) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut validates = false;
    for export in exports {
        let (interface, version) = split(&export.name);
        let functions = match interface {
            "pigeon:plugin/validation" => VALIDATION_FUNCTIONS,
            "pigeon:plugin/batch-validation" => BATCH_VALIDATION_FUNCTIONS,
            name if VALIDATION_FUNCTIONS.contains(&name) && matches!(export.shape, Shape::Function) => {
                found.push(Difference::BareFunction { function: name.into() });
                continue;
            }
            // More than is asked for does no harm.
            _ => continue,
        };
        validates |= interface == "pigeon:plugin/validation";
        match &export.shape {
            _ if version != CONTRACT_VERSION => found.push(Difference::OtherVersion { export: export.name.clone() }),
            Shape::Interface { functions: there, .. } => {
                let lacks = |name: &&&str| !there.iter().any(|there| there == **name);
                let missing: Vec<String> = functions.iter().filter(lacks).map(|name| (*name).to_owned()).collect();
                if !missing.is_empty() {
                    found.push(Difference::MissingFunctions { interface: export.name.clone(), functions: missing });
                }
            }
            _ => found.push(Difference::NotAnInterface { export: export.name.clone() }),
        }
    }
    let bare = found.iter().any(|difference| matches!(difference, Difference::BareFunction { .. }));
    if !validates && !bare {
        let exports = exports.iter().map(|export| export.name.clone()).collect();
        found.insert(0, Difference::NoValidation { exports });
    }
    found
}

fn import(import: &Item) -> Option<Difference> {
    let unknown = |instead: String| Some(Difference::UnknownImport { import: import.name.clone(), instead });
    match &import.shape {
        // Nothing is needed to satisfy these.
        Shape::Type => return None,
        Shape::Interface { functions, resources: false } if functions.is_empty() => return None,
        Shape::Function => {
            return unknown("functions are imported in interfaces, such as pigeon:plugin/run@0.1.0".into());
        }
        Shape::Other => return unknown("only interfaces are offered".into()),
        Shape::Interface { .. } => {}
    }
    let (interface, version) = split(&import.name);
    if OFFERED.contains(&import.name.as_str()) || (WASI.contains(&interface) && is_wasi_0_2(version)) {
        return None;
    }
    if let Some(offered) = OFFERED.iter().find(|offered| split(offered).0 == interface) {
        return unknown(format!("this host has {offered}"));
    }
    if WASI.contains(&interface) {
        return unknown("this host has WASI 0.2: build it for that, as wasm32-wasip2 does".into());
    }
    unknown(match interface.split('/').next().unwrap_or_default() {
        "pigeon:plugin" => format!("of pigeon:plugin@{CONTRACT_VERSION} there are `run` and `llm`"),
        "wasi:config" => "options are in wasi:config/store@0.2.0-rc.1".into(),
        "wasi:logging" => "logs go to wasi:logging/logging@0.1.0-draft or to standard error".into(),
        "wasi:http" => "a plugin has no network; a model is asked by pigeon:plugin/llm@0.1.0".into(),
        "wasi:keyvalue" | "wasi:blobstore" | "wasi:messaging" => "it is no power of this version".into(),
        "wasi:nn" => "a model is asked by pigeon:plugin/llm@0.1.0".into(),
        package if package.starts_with("wasi:") => "of WASI 0.2 there are cli, clocks, filesystem, io, random and \
            sockets"
            .into(),
        _ => format!("there are WASI 0.2, {}", OFFERED[1..].join(", ")),
    })
}

/// An interface's name and version.
fn split(name: &str) -> (&str, &str) {
    name.split_once('@').unwrap_or((name, ""))
}

/// Releases are compatible; the release candidates before them were not.
fn is_wasi_0_2(version: &str) -> bool {
    version.strip_prefix("0.2.").is_some_and(|patch| patch.parse::<u32>().is_ok())
}
