//! Where state and caches live (the XDG base directories).

use std::{borrow::Cow, env, error::Error as _, path::PathBuf};

use pigeon_runtime::CacheTrouble;

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
    /// The state directory as it was given, if it was.
    given: Option<PathBuf>,
}

impl Dirs {
    /// From what was given and the environment.
    ///
    /// # Errors
    /// If neither says where.
    pub(crate) fn new(state_dir: Option<PathBuf>) -> Result<Self, Failed> {
        let home = self::state();
        let state = match (&state_dir, &home) {
            (Some(given), _) => {
                std::path::absolute(given).map_err(|error| failed("find the current folder").caused_by(error))?
            }
            (None, Some(home)) => home.clone(),
            (None, None) => return Err(failed("find a folder for the queue")),
        };
        let cache = base("XDG_CACHE_HOME", ".cache").map_or_else(|| state.join("cache"), |dir| dir.join("pigeon"));
        let key_file = home.unwrap_or_else(|| state.clone()).join("compile.key");
        Ok(Self { state, cache, key_file, given: state_dir })
    }

    /// The flags with which a command finds this state directory, with a space before them.
    pub(crate) fn flags(&self) -> String {
        self.given
            .as_ref()
            .map_or_else(String::new, |given| format!(" --state-dir {}", quoted(&given.to_string_lossy())))
    }

    /// That compiled plugins cannot be kept, why, and what to do about it.
    pub(crate) fn not_kept(&self, trouble: &CacheTrouble) -> String {
        let why = trouble.source().map(|why| format!(" ({why})")).unwrap_or_default();
        let variable = if trouble.path == self.key_file { "XDG_STATE_HOME" } else { "XDG_CACHE_HOME" };
        format!(
            "{trouble}{why}; each process compiles them anew: see that it can be written, or name another folder by \
             {variable}"
        )
    }
}

/// Text as a shell takes it for one word.
pub(crate) fn quoted(text: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '/' | '.' | '_' | '-' | '+' | ',' | ':' | '@' | '%' | '=');
    if !text.is_empty() && text.chars().all(plain) {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(format!("'{}'", text.replace('\'', r"'\''")))
    }
}

fn failed(what: &str) -> Failed {
    Failed::usage(format!("failed to {what}")).hint("set HOME, or say where with --state-dir")
}

/// Where this user's configuration is.
pub(crate) fn config() -> Option<PathBuf> {
    base("XDG_CONFIG_HOME", ".config").map(|dir| dir.join("pigeon"))
}

/// Where this user's state is: the queue, if nothing else is said.
pub(crate) fn state() -> Option<PathBuf> {
    base("XDG_STATE_HOME", ".local/state").map(|dir| dir.join("pigeon"))
}

/// A base directory; relative ones do not count (the specification says so).
fn base(variable: &str, below_home: &str) -> Option<PathBuf> {
    let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute(variable).or_else(|| absolute("HOME").map(|home| home.join(below_home)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_can_be_pasted() {
        let dirs = |given: Option<&str>| Dirs {
            state: PathBuf::new(),
            cache: PathBuf::new(),
            key_file: PathBuf::new(),
            given: given.map(PathBuf::from),
        };
        assert_eq!(dirs(None).flags(), "");
        assert_eq!(dirs(Some("a/b")).flags(), " --state-dir a/b");
        assert_eq!(dirs(Some("it's a")).flags(), r" --state-dir 'it'\''s a'");
    }
}
