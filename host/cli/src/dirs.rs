//! Where state and caches live (the XDG base directories).

use std::{env, path::PathBuf};

use crate::exit::Failed;

/// The folders of this user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dirs {
    /// The queue, its results, and this user's key.
    pub(crate) state: PathBuf,
    /// Compiled plugins.
    pub(crate) cache: PathBuf,
    /// The key that guards the cache: of the user, whatever the state directory.
    pub(crate) key_file: PathBuf,
}

impl Dirs {
    /// From what was given and the environment.
    ///
    /// # Errors
    /// If neither says where.
    pub(crate) fn new(state_dir: Option<PathBuf>) -> Result<Self, Failed> {
        let home = base("XDG_STATE_HOME", ".local/state").map(|dir| dir.join("pigeon"));
        let state = match (state_dir, &home) {
            (Some(given), _) => {
                std::path::absolute(&given).map_err(|error| failed("find the current folder").caused_by(error))?
            }
            (None, Some(home)) => home.clone(),
            (None, None) => return Err(failed("find a folder for the queue")),
        };
        let cache = base("XDG_CACHE_HOME", ".cache").map_or_else(|| state.join("cache"), |dir| dir.join("pigeon"));
        let key_file = home.unwrap_or_else(|| state.clone()).join("compile.key");
        Ok(Self { state, cache, key_file })
    }
}

fn failed(what: &str) -> Failed {
    Failed::usage(format!("failed to {what}")).hint("set HOME, or say where with --state-dir")
}

/// A base directory; relative ones do not count (the specification says so).
fn base(variable: &str, below_home: &str) -> Option<PathBuf> {
    let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute(variable).or_else(|| absolute("HOME").map(|home| home.join(below_home)))
}
