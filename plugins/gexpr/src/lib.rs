//! The built-in validator `gexpr`: judges G-expressions, functional programs written as JSON.
//!
//! ```text
//!   body -> tape -> tree -> findings         tape      JSON, flat
//!           |       |  |    ^  ^  ^          syntax    the shape of every node; builds the tree
//!           |       |  '----'  |  |          semantic  what every name means
//!           '-------'  '-------'  |          execution what the program comes to
//!             syntax   semantic   |
//!                      '----------'
//!                       execution
//! ```
//!
//! Nothing here recurses: walks and the interpreter keep stacks of their own, and all that they make lies in flat
//! lists, so that a program may be as deep as its text is long. Everything takes time linear in the text; evaluation
//! takes time linear in its steps, which are limited. Buffers are kept from item to item, and given back when an item
//! made them large.

mod builtins;
mod check;
mod codes;
mod findings;
mod generate;
mod names;
mod number;
mod order;
mod run;
mod settings;
mod tape;
mod tree;

#[cfg(test)]
mod tests;

use pigeon_plugin::{
    CodeSpec, Failure, Finding, Findings, Item, Metadata, Options, Place, Severity, TestCase, Validator,
};

use crate::check::{semantic, syntax};
use crate::findings as kept;
use crate::names::Names;
use crate::settings::Settings;
use crate::tape::{MAX_BODY, Tape};
use crate::tree::Tree;

/// The validator, with the buffers that it keeps.
#[derive(Debug)]
pub struct Gexpr {
    settings: Settings,
    tape: Tape,
    tree: Tree,
    names: Names,
    /// The builtins' names alone.
    builtins: Names,
    syntax: syntax::Room,
    semantic: semantic::Room,
}

/// What became of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    NotChosen,
    Passed,
    Failed,
    Skipped,
}

impl Outcome {
    fn of(errors: u64) -> Outcome {
        if errors == 0 { Outcome::Passed } else { Outcome::Failed }
    }
}

impl Validator for Gexpr {
    fn new(options: &Options) -> Result<Self, Failure> {
        let builtins = Names::with(&builtins::NAMES);
        Ok(Gexpr {
            settings: Settings::read(options)?,
            tape: Tape::default(),
            tree: Tree::default(),
            names: builtins.clone(),
            builtins,
            syntax: syntax::Room::default(),
            semantic: semantic::Room::default(),
        })
    }

    fn validate(&mut self, item: &Item, findings: &mut Findings) -> Result<(), Failure> {
        if item.body.len() >= MAX_BODY {
            return Err(Failure::permanent(codes::ITEM_TOO_LARGE.name, codes::ITEM_TOO_LARGE.description));
        }
        self.names.reset(&self.builtins);
        let mut found = kept::Findings::default();
        let outcomes = self.check(&item.body, &mut found);
        if !found.is_empty() {
            findings.set_data(summary(outcomes));
            let (told, omitted) = found.finish(&self.tree, &item.body);
            told.into_iter().for_each(|finding| findings.push(tell(finding)));
            let counts = [
                (Severity::Error, omitted.errors),
                (Severity::Warning, omitted.warnings),
                (Severity::Info, omitted.infos),
            ];
            for (severity, count) in counts {
                (0..count).for_each(|_| findings.omit(severity));
            }
        }
        self.tape.shrink();
        self.tree.clear();
        Ok(())
    }

    fn metadata(crate_says: Metadata) -> Metadata {
        let mut metadata = crate_says
            .description(
                "Judges G-expressions, functional programs written as JSON: their shape, the meaning of their names, \
                 and, with test inputs, what they evaluate to. Checks are chosen by `validation_types`.",
            )
            .format("application/json")
            .option_or(
                "validation_types",
                settings::DEFAULT_CHECKS,
                "which checks to do, separated by commas: syntax (the shape of every node), semantic (what every \
                 name means), execution (run the program with `test_inputs`)",
            )
            .option(
                "test_inputs",
                "with what to run the program: a JSON array of argument lists, or of {\"args\": [...], \"expect\": \
                 value}",
            )
            .option_or(
                "max_steps",
                &settings::DEFAULT_MAX_STEPS.to_string(),
                "how many steps the program may take with each test input; many more than the default may need more \
                 memory than the plugin asks for",
            )
            .shared()
            .memory(MEMORY_BASE, MEMORY_FACTOR);
        metadata.codes = codes::ALL
            .iter()
            .map(|code| CodeSpec::new(code.name, code.severity.map(severity), code.description))
            .collect();
        metadata
    }

    fn generate_test_cases(count: u32, seed: u64) -> Result<Vec<TestCase>, Failure> {
        generate::cases(count, seed)
    }
}

/// Memory for the interpreter at the default step limit, in bytes: functions of many parameters that call one another
/// and never return take 96 MiB, collections included. An ordinary item takes next to nothing of it.
const MEMORY_BASE: u64 = 112 << 20;

/// Bytes of memory for each byte of an item: itself, up to 8 for its tape (a bracket is an entry), and what the worst
/// trees and literals take. An item of 64 MiB fits 1 GiB.
const MEMORY_FACTOR: f64 = 14.0;

impl Gexpr {
    /// Does the checks that are chosen.
    fn check(&mut self, body: &[u8], findings: &mut kept::Findings) -> [Outcome; 3] {
        let Settings { syntax, semantic, execution, .. } = self.settings;
        let chosen = |yes, outcome| if yes { outcome } else { Outcome::NotChosen };
        match self.tape.fill(body) {
            Ok(outline) if outline.bom => {
                let at = kept::At { node: None, offset: 0 };
                findings.add(codes::BYTE_ORDER_MARK, at, || codes::BYTE_ORDER_MARK.description.to_owned());
            }
            Ok(_) => {}
            Err(error) => {
                let at = kept::At { node: None, offset: error.offset };
                findings.add(codes::NOT_JSON, at, || error.message(body));
                if execution {
                    skip(findings, "the item is not JSON");
                }
                return [
                    chosen(syntax, Outcome::Failed),
                    chosen(semantic, Outcome::Skipped),
                    chosen(execution, Outcome::Skipped),
                ];
            }
        }
        let syntax_errors = syntax::Syntax {
            body,
            tape: &self.tape,
            names: &mut self.names,
            tree: &mut self.tree,
            room: &mut self.syntax,
            findings: syntax.then_some(&mut *findings),
        }
        .check();
        let mut outcomes = [chosen(syntax, Outcome::of(syntax_errors)), Outcome::NotChosen, Outcome::NotChosen];
        let runs = execution && syntax_errors == 0 && !self.settings.inputs.is_empty();
        if semantic || runs {
            let before = findings.errors();
            semantic::Semantic {
                tape: &self.tape,
                body,
                names: &mut self.names,
                tree: &mut self.tree,
                room: &mut self.semantic,
                findings: semantic.then_some(&mut *findings),
            }
            .check();
            outcomes[1] = chosen(semantic, Outcome::of(findings.errors() - before));
        }
        if runs {
            let before = findings.errors();
            run::Execution {
                body,
                tape: &self.tape,
                names: &mut self.names,
                tree: &self.tree,
                inputs: &self.settings.inputs,
                max_steps: self.settings.max_steps,
                findings,
            }
            .check();
            outcomes[2] = Outcome::of(findings.errors() - before);
        } else if execution {
            skip(findings, if syntax_errors > 0 { "it has syntax errors" } else { "there are no test_inputs" });
            outcomes[2] = Outcome::Skipped;
        }
        outcomes
    }
}

/// Says that the program was not run.
fn skip(findings: &mut kept::Findings, why: &str) {
    let at = kept::At { node: None, offset: 0 };
    findings.add(codes::EXECUTION_SKIPPED, at, || format!("the program was not run: {why}"));
}

/// The verdict's data: the result of each check that was chosen.
fn summary(outcomes: [Outcome; 3]) -> String {
    let mut members = Vec::new();
    for (name, outcome) in settings::CHECKS.iter().zip(outcomes) {
        let word = match outcome {
            Outcome::NotChosen => continue,
            Outcome::Passed => "passed",
            Outcome::Failed => "failed",
            Outcome::Skipped => "skipped",
        };
        members.push(format!("\"{name}\":\"{word}\""));
    }
    format!("{{\"checks\":{{{}}}}}", members.join(","))
}

fn severity(severity: kept::Severity) -> Severity {
    match severity {
        kept::Severity::Error => Severity::Error,
        kept::Severity::Warning => Severity::Warning,
        kept::Severity::Info => Severity::Info,
    }
}

/// A finding in the contract's words.
fn tell(finding: kept::Finding) -> Finding {
    let kept::Finding { severity: grave, code, message, offset, line, column, pointer } = finding;
    let place = Place { line: Some(line), column: Some(column), offset: Some(offset as u64), pointer };
    Finding { severity: severity(grave), code: code.to_owned(), message, place: Some(place) }
}

pigeon_plugin::export!(Gexpr);
