//! The options of a job, read once an instance.

use pigeon_plugin::{Failure, Options};

use crate::codes;
use crate::findings::cut;
use crate::run::Inputs;

/// The checks by name, in the order in which they are done.
pub(crate) const CHECKS: [&str; 3] = ["syntax", "semantic", "execution"];

/// The value of `validation_types` where it is not given.
pub(crate) const DEFAULT_CHECKS: &str = "syntax,semantic";

/// The value of `max_steps` where it is not given.
pub(crate) const DEFAULT_MAX_STEPS: u64 = 1_000_000;

/// What the job asks for.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) syntax: bool,
    pub(crate) semantic: bool,
    pub(crate) execution: bool,
    /// With what to run the program; empty if there is nothing to run it with.
    pub(crate) inputs: Inputs,
    /// Steps for each of them.
    pub(crate) max_steps: u64,
}

impl Settings {
    /// Reads the options.
    ///
    /// # Errors
    /// A permanent failure that names what is known where a value makes no sense.
    pub(crate) fn read(options: &Options) -> Result<Settings, Failure> {
        let mut chosen = [false; 3];
        for name in options.get("validation_types")?.unwrap_or(DEFAULT_CHECKS).split(',') {
            let name = name.trim();
            let Some(check) = CHECKS.iter().position(|check| *check == name) else {
                let (name, known) = (cut(name, 60), CHECKS.join(", "));
                let message = format!("option validation_types: `{name}` is no check; the checks are {known}");
                return Err(Failure::permanent(codes::UNKNOWN_CHECK.name, message));
            };
            chosen[check] = true;
        }
        let max_steps = match options.get("max_steps")? {
            None => DEFAULT_MAX_STEPS,
            Some(text) => match text.trim().parse() {
                Ok(steps) if steps > 0 => steps,
                _ => {
                    let text = cut(text, 60);
                    let message = format!("option max_steps: `{text}` is no whole number from 1 to {}", u64::MAX);
                    return Err(Failure::permanent(codes::BAD_MAX_STEPS.name, message));
                }
            },
        };
        let inputs = match options.get("test_inputs")? {
            None => Inputs::default(),
            Some(text) => Inputs::read(text)?,
        };
        let [syntax, semantic, execution] = chosen;
        Ok(Settings { syntax, semantic, execution, inputs, max_steps })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, value: &str) -> Result<Settings, Failure> {
        Settings::read(&Options::of([(name, value)]))
    }

    #[test]
    fn checks_are_trimmed_and_known() {
        let settings = read("validation_types", " execution ,\tsyntax").unwrap();
        assert!(settings.syntax && !settings.semantic && settings.execution);
        let settings = read("max_steps", " 7 ").unwrap();
        assert!(settings.syntax && settings.semantic && !settings.execution);
        assert_eq!(settings.max_steps, 7);
        for unknown in ["", "syntax,", "Syntax", "syntax;semantic", "types"] {
            let failure = read("validation_types", unknown).unwrap_err();
            assert_eq!(failure.code, "unknown-check");
            assert!(failure.message.ends_with("the checks are syntax, semantic, execution"), "{}", failure.message);
        }
    }

    #[test]
    fn steps_are_a_positive_number() {
        for bad in ["", "0", "-1", "1.5", "1e6", "many"] {
            assert_eq!(read("max_steps", bad).unwrap_err().code, "bad-max-steps", "{bad}");
        }
    }

    #[test]
    fn inputs_are_lists_or_say_what_they_expect() {
        for good in ["[]", "[[]]", "[[1,[2]],[]]", r#"[{"args":[1],"expect":{"a":null}},{"args":[]},[3]]"#] {
            assert!(read("test_inputs", good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "1",
            "[1]",
            "{}",
            "[{}]",
            "[[]",
            r#"[{"args":1}]"#,
            r#"[{"expect":1}]"#,
            r#"[{"args":[],"args":[]}]"#,
            r#"[{"args":[],"expected":1}]"#,
            "[[1e400]]",
        ] {
            let failure = read("test_inputs", bad).unwrap_err();
            assert_eq!(failure.code, "malformed-test-inputs", "{bad}");
            assert!(failure.message.contains(r#"{"args": [...], "expect": value}"#), "{}", failure.message);
        }
    }
}
