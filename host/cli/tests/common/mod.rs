//! A folder to work in, and the binary: what the programs of tests share that run it.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

/// The program that is tested.
pub(crate) const PIGEON: &str = env!("CARGO_BIN_EXE_pigeon");

/// A working folder, with contexts of its own. The compile cache is shared by all tests: compiling is not what they test.
pub(crate) struct Place {
    pub(crate) dir: TempDir,
}

/// How a program ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { dir: TempDir::new().unwrap() }
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.dir.path().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// The program, in this folder, with nothing of the environment that it could heed.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = self.program(PIGEON);
        command.args(args);
        command
    }

    /// Another program, with the same surroundings.
    pub(crate) fn program(&self, program: impl AsRef<OsStr>) -> Command {
        let shared = Path::new(env!("CARGO_TARGET_TMPDIR")).join("process");
        let mut command = Command::new(program);
        command
            .current_dir(self.dir.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.dir.path())
            .env("XDG_CONFIG_HOME", self.dir.path().join("config"))
            .env("XDG_STATE_HOME", shared.join("state"))
            .env("XDG_CACHE_HOME", shared.join("cache"))
            .stdin(Stdio::null());
        command
    }

    /// The hostile guest, as a component file.
    pub(crate) fn hostile(&self) -> String {
        self.write("hostile.wasm", pigeon_plugins::HOSTILE);
        "./hostile.wasm".to_owned()
    }
}

pub(crate) fn ended(output: Output) -> Ended {
    Ended {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

impl Ended {
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    /// What it printed as JSON.
    #[track_caller]
    pub(crate) fn json(self, code: i32) -> Value {
        let ended = self.expect(code);
        serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:#?}"))
    }
}
