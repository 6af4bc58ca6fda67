//! The validator `echo`: says back its item and whatever its options tell it to say.
//!
//! It is for trying things out: how a verdict looks in a report, what a failure does to a job, what a run knows of
//! itself. Each option is one thing that a validator can do.

use std::fmt::Write as _;

use pigeon_plugin::{
    Expectation, Failure, FailureKind, Finding, Findings, Item, Metadata, Options, Severity, TestCase, Validator, log,
    run,
};

/// The most characters of an item that are said back.
const TEXT_LIMIT: usize = 1000;

/// Where the item is said back.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Data,
    Log,
    Nowhere,
}

/// What the options say.
pub struct Echo {
    place: Place,
    run: bool,
    findings: Vec<Finding>,
    score: Option<f64>,
    log: Option<String>,
    failure: Option<Failure>,
}

impl Validator for Echo {
    fn new(options: &Options) -> Result<Self, Failure> {
        let place = options.choice("echo", &[("data", Place::Data), ("log", Place::Log), ("none", Place::Nowhere)])?;
        let message = options.get("message")?;
        let mut findings = Vec::new();
        if options.choice("verdict", &[("valid", false), ("invalid", true)])? == Some(true) {
            findings.push(Finding::error("told-so", message.unwrap_or("the option verdict says so")));
        }
        for line in options.get("finding")?.unwrap_or_default().lines().filter(|line| !line.trim().is_empty()) {
            findings.push(finding(line.trim())?);
        }
        let kinds = [("permanent", FailureKind::Permanent), ("transient", FailureKind::Transient)];
        let failure = options.choice("fail", &kinds)?.map(|kind| {
            let message = message.unwrap_or("the option fail says so").to_owned();
            Failure { kind, code: "told-to-fail".to_owned(), message }
        });
        let score = options.parse::<f64>("score")?;
        if score.is_some_and(|score| !score.is_finite()) {
            return Err(Failure::bad_option("score", "it must be a finite number"));
        }
        Ok(Echo {
            place: place.unwrap_or(Place::Data),
            run: options.parse("run")?.unwrap_or(false),
            findings,
            score,
            log: options.get("log")?.map(str::to_owned),
            failure,
        })
    }

    fn validate(&mut self, item: &Item, findings: &mut Findings) -> Result<(), Failure> {
        if let Some(line) = &self.log {
            log::info(line);
        }
        match self.place {
            Place::Data => findings.set_data(self.say(item)),
            Place::Log => log::info(&self.say(item)),
            Place::Nowhere if self.run => findings.set_data(format!("{{{}}}", self.say_run())),
            Place::Nowhere => {}
        }
        if let Some(score) = self.score {
            findings.set_score(score);
        }
        for finding in &self.findings {
            findings.push(finding.clone());
        }
        self.failure.clone().map_or(Ok(()), Err)
    }

    fn metadata(crate_says: Metadata) -> Metadata {
        crate_says
            .format("application/octet-stream")
            .option_or("echo", "data", "where the item is said back: data, log or none")
            .option_or("run", "false", "true says the run's iteration, worker place and seed too")
            .option_or("verdict", "valid", "valid or invalid; invalid gives an error told-so")
            .option("message", "the words of the error told-so, or of the failure")
            .option("finding", "findings to give, one a line: severity, code and message, with spaces between")
            .option("score", "a number to give as the score")
            .option("log", "a line to log")
            .option("fail", "permanent or transient: gives no verdict but a failure of that kind")
            .error("told-so", "the option verdict asked for it")
            .failure("told-to-fail", "the option fail asked for it")
            .failure("bad-option", "an option has a value that cannot be used")
            .shared()
            .memory(4 << 20, 4.0)
    }

    fn generate_test_cases(count: u32, seed: u64) -> Result<Vec<TestCase>, Failure> {
        let case = |number: u32| {
            let item = Item::new(format!("echo-{number}.txt"), format!("item {number} of seed {seed}"));
            TestCase::new(item, Expectation::Valid, "anything is valid")
        };
        Ok((0..count).map(case).collect())
    }
}

impl Echo {
    /// The item as a JSON object.
    fn say(&self, item: &Item) -> String {
        let text = String::from_utf8_lossy(&item.body);
        let mut said = String::from("{\"id\":");
        quote(&item.id, &mut said);
        let _ = write!(said, ",\"bytes\":{},\"text\":", item.body.len());
        let cut = text.char_indices().nth(TEXT_LIMIT).map_or(text.len(), |(end, _)| end);
        quote(text.get(..cut).unwrap_or_default(), &mut said);
        if self.run {
            said.push(',');
            said.push_str(&self.say_run());
        }
        said.push('}');
        said
    }

    fn say_run(&self) -> String {
        // The seed as text: JSON's numbers are doubles to many readers.
        format!("\"iteration\":{},\"worker\":{},\"seed\":\"{}\"", run::iteration(), run::worker(), run::seed())
    }
}

/// A finding from `SEVERITY CODE MESSAGE`.
fn finding(line: &str) -> Result<Finding, Failure> {
    let mut words = line.splitn(3, ' ');
    let severity = match words.next() {
        Some("error") => Severity::Error,
        Some("warning") => Severity::Warning,
        Some("info") => Severity::Info,
        _ => {
            return Err(Failure::bad_option(
                "finding",
                format_args!("`{line}` begins with none of error, warning, info"),
            ));
        }
    };
    match (words.next(), words.next()) {
        (Some(code), Some(message)) => Ok(Finding::new(severity, code, message)),
        _ => Err(Failure::bad_option("finding", format_args!("`{line}` lacks a code or a message"))),
    }
}

/// Appends `text` as a JSON string.
fn quote(text: &str, out: &mut String) {
    out.push('"');
    for char in text.chars() {
        match char {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            control if control < ' ' => {
                let _ = write!(out, "\\u{:04x}", u32::from(control));
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

pigeon_plugin::export!(Echo);

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn cases_are_answered_as_expected() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../cases/echo");
        pigeon_plugin::testing::check::<Echo>(&folder).unwrap();
    }

    #[test]
    fn generated_cases_deserve_what_they_say() {
        let cases = Echo::generate_test_cases(20, 7).unwrap();
        assert_eq!(cases, Echo::generate_test_cases(20, 7).unwrap());
        assert_eq!(cases.len(), 20);
        for case in cases {
            assert!(pigeon_plugin::judge::<Echo>(&Options::of_the_job(), &case.item).unwrap().is_valid());
        }
    }
}
