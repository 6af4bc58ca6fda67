//! What must be kept apart: what is judged, what it is judged with, where the report goes, and where the queue lives.

use std::{
    fs,
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::Path,
};

use super::{ProcessArgs, options, validator};
use crate::{exit::Failed, input::Inputs};

const ANOTHER_FILE: &str = "write it to another file with --output-file";

/// A report that would be written over what is judged, or be judged itself, is refused.
pub(super) fn report_and_inputs(report: &Path, inputs: &Inputs) -> Result<(), Failed> {
    match inputs.holding(report) {
        None => Ok(()),
        Some(given) if Path::new(given).is_dir() => {
            Err(Failed::usage(format!("the report {} would be an item of {given}", report.display()))
                .hint("write it to another folder with --output-file"))
        }
        Some(given) => {
            Err(Failed::usage(format!("the report would be written over the input {given}")).hint(ANOTHER_FILE))
        }
    }
}

/// So is one that would be written over the validator, or over an option's file.
pub(super) fn report_and_validator(report: &Path, args: &ProcessArgs) -> Result<(), Failed> {
    if let Some(path) = args.validator.as_deref().and_then(validator::path)
        && is_same_file(report, path)
    {
        let path = path.display();
        return Err(Failed::usage(format!("the report would be written over the validator {path}")).hint(ANOTHER_FILE));
    }
    match options::files(&args.job.options).find(|(_, path)| is_same_file(report, path)) {
        None => Ok(()),
        Some((key, path)) => {
            let path = path.display();
            let what = format!("the report would be written over {path}, which the option {key:?} is read from");
            Err(Failed::usage(what).hint(ANOTHER_FILE))
        }
    }
}

/// A queue that would be judged changes while it is: no such job could end well.
pub(super) fn queue_and_inputs(state_dir: &Path, inputs: &Inputs) -> Result<(), Failed> {
    match holding(inputs, state_dir) {
        None => Ok(()),
        Some(given) => Err(Failed::usage(format!("the queue in {} would be an item of {given}", state_dir.display()))
            .hint("name another folder for it with --state-dir; what begins with a dot is no item")),
    }
}

/// Which of the inputs holds this folder, or will once it is made.
fn holding<'a>(inputs: &'a Inputs, folder: &Path) -> Option<&'a str> {
    let there = |path: &&Path| path.parent().is_none_or(Path::exists);
    let first = folder.ancestors().find(there)?;
    let mut rest = folder.strip_prefix(first).ok()?.iter();
    if rest.any(|name| name.as_bytes().starts_with(b".")) {
        return None;
    }
    // A link may lead into an input as well as stand in one.
    inputs.holding(first).or_else(|| inputs.holding(&fs::canonicalize(folder).ok()?))
}

/// Whether both name one file, by whatever links.
fn is_same_file(a: &Path, b: &Path) -> bool {
    let id =
        |path: &Path| fs::metadata(path).ok().filter(fs::Metadata::is_file).map(|found| (found.dev(), found.ino()));
    id(a).is_some_and(|a| id(b) == Some(a))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::input::SplitRule;

    #[test]
    fn a_queue_is_found_in_the_inputs_however_it_is_named() {
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name);
        fs::create_dir_all(path("in/there")).unwrap();
        fs::create_dir(path("out")).unwrap();
        symlink(path("in/there"), path("to")).unwrap();
        symlink(path("out"), path("in/from")).unwrap();
        let inputs = Inputs::new(&[path("in")], SplitRule::Whole, 1).unwrap();
        for held in ["in", "in/there", "in/new", "in/new/er", "in/there/new", "to", "to/new", "in/from"] {
            assert!(holding(&inputs, &path(held)).is_some(), "{held}");
        }
        for apart in ["out", "new", "new/er", "in/.hidden", "in/new/.hidden/q", "out/new", "inn"] {
            assert_eq!(holding(&inputs, &path(apart)), None, "{apart}");
        }
    }
}
