//! A folder to work in, and the binary.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

/// Validates to 55 after some work; a G-expression from the examples.
pub(crate) const FIBONACCI: &str = include_str!("../../../../plugins/gexpr/examples/fibonacci.json");

/// The program that is tested.
pub(crate) const PIGEON: &str = env!("CARGO_BIN_EXE_pigeon");

/// A working folder with a state directory of its own. The compile cache is shared by all tests: compiling is not what
/// they test.
pub(crate) struct Place {
    pub(crate) dir: TempDir,
}

/// How the program ended.
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

    /// With these files in it.
    pub(crate) fn with(files: &[(&str, &str)]) -> Self {
        let place = Self::new();
        for (name, text) in files {
            place.write(name, text.as_bytes());
        }
        place
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.dir.path().join(name)).unwrap()
    }

    /// The program, in this folder, with nothing of the environment that it could heed.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = self.program(PIGEON);
        command.args(args);
        command
    }

    /// `pigeon process ARGS` as a shell starts it: it is `"$@"` in this script.
    pub(crate) fn in_shell(&self, script: &str, args: &[&str]) -> Command {
        let mut command = self.program("sh");
        command.args(["-c", script, "sh", PIGEON, "process", "--state-dir", "state"]).args(args);
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
            .env("XDG_STATE_HOME", shared.join("state"))
            .env("XDG_CACHE_HOME", shared.join("cache"))
            .stdin(Stdio::null());
        command
    }

    /// `pigeon process ARGS` with this folder's state directory.
    pub(crate) fn process_command(&self, args: &[&str]) -> Command {
        let mut command = self.command(&["process", "--state-dir", "state"]);
        command.args(args);
        command
    }

    pub(crate) fn process(&self, args: &[&str]) -> Ended {
        ended(self.process_command(args).output().unwrap())
    }

    /// The same with something on standard input.
    pub(crate) fn process_with(&self, input: &[u8], args: &[&str]) -> Ended {
        let file = self.write("stdin", input);
        ended(self.process_command(args).stdin(fs::File::open(file).unwrap()).output().unwrap())
    }

    /// The JSON report of a job that ends with this code.
    pub(crate) fn report(&self, code: i32, args: &[&str]) -> Value {
        let args: Vec<&str> = args.iter().copied().chain(["-o", "json"]).collect();
        self.process(&args).report(code)
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

    #[track_caller]
    pub(crate) fn report(self, code: i32) -> Value {
        let ended = self.expect(code);
        serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:#?}"))
    }

    /// The id of the job that it accepted.
    pub(crate) fn job(&self) -> Option<&str> {
        self.stderr.lines().find_map(|line| line.strip_prefix("job "))
    }

    /// An error before anything ran: its message, and that there is a hint.
    #[track_caller]
    pub(crate) fn refused(self) -> String {
        let ended = self.expect(2);
        assert_eq!(ended.job(), None, "{ended:#?}");
        assert_eq!(ended.stdout, "", "{ended:#?}");
        assert!(ended.stderr.lines().any(|line| line.starts_with("hint: ")), "{ended:#?}");
        let error = ended.stderr.lines().find_map(|line| line.strip_prefix("error: "));
        error.unwrap_or_else(|| panic!("no error: {ended:#?}")).to_owned()
    }
}

/// `id verdict` of each item of a report.
pub(crate) fn verdicts(report: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let items = report["items"].as_array().unwrap();
    items.iter().map(|item| format!("{} {}", text(&item["id"]), text(&item["verdict"]))).collect()
}
