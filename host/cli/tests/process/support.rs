//! `pigeon process` in a folder of its own.

use std::{fs, process::Command};

use serde_json::Value;

pub(crate) use crate::common::{Ended, PIGEON, Place, ended};

/// Validates to 55 after some work; a G-expression from the examples.
pub(crate) const FIBONACCI: &str = include_str!("../../../../plugins/gexpr/examples/fibonacci.json");

impl Place {
    /// With these files in it.
    pub(crate) fn with(files: &[(&str, &str)]) -> Self {
        let place = Self::new();
        for (name, text) in files {
            place.write(name, text.as_bytes());
        }
        place
    }

    /// `pigeon process ARGS` as a shell starts it: it is `"$@"` in this script.
    pub(crate) fn in_shell(&self, script: &str, args: &[&str]) -> Command {
        let mut command = self.program("sh");
        command.args(["-c", script, "sh", PIGEON, "process", "--state-dir", "state"]).args(args);
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
        self.process(&args).json(code)
    }
}

impl Ended {
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
