//! The codes of all findings and failures: stable, part of what users build on.

use crate::findings::Severity;

/// What the validator may say about an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Code {
    pub(crate) name: &'static str,
    /// `None` for a failure.
    pub(crate) severity: Option<Severity>,
    pub(crate) description: &'static str,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $constant:ident = $severity:expr, $name:literal, $description:literal;)*) => {
        $(pub(crate) const $constant: Code = Code { name: $name, severity: $severity, description: $description };)*
        /// Every one there is, as the metadata lists them.
        pub(crate) const ALL: &[Code] = &[$($constant),*];
    };
}

const ERROR: Option<Severity> = Some(Severity::Error);
const WARNING: Option<Severity> = Some(Severity::Warning);
const INFO: Option<Severity> = Some(Severity::Info);

codes! {
    NOT_JSON = ERROR, "not-json", "the item is not JSON (RFC 8259)";
    BYTE_ORDER_MARK = WARNING, "byte-order-mark", "a byte order mark stands in front of the JSON text and was skipped";
    NODE_NOT_AN_OBJECT = ERROR, "node-not-an-object", "something other than an object stands where a node must";
    MISSING_G = ERROR, "missing-g", "a node has no `g`";
    G_NOT_A_STRING = ERROR, "g-not-a-string", "the `g` of a node is no string";
    UNKNOWN_TAG = ERROR, "unknown-tag", "the `g` of a node names no kind of node";
    REPEATED_KEY = ERROR, "repeated-key", "a key stands twice in a node, in its `v`, in a branch or in a pattern";
    UNKNOWN_KEY = WARNING, "unknown-key", "a node, its `v` or a branch has a key that means nothing";
    LIT_WITHOUT_V = ERROR, "lit-without-v", "a `lit` has no `v`";
    MISSING_V = ERROR, "missing-v", "a node other than a `lit` has no `v`";
    REF_NOT_A_STRING = ERROR, "ref-not-a-string", "the `v` of a `ref` is no string";
    VEC_NOT_AN_ARRAY = ERROR, "vec-not-an-array", "the `v` of a `vec` is no array";
    LAM_NOT_AN_OBJECT = ERROR, "lam-not-an-object", "the `v` of a `lam` is no object";
    LAM_WITHOUT_PARAMS = ERROR, "lam-without-params", "a `lam` has no `params`";
    LAM_WITHOUT_BODY = ERROR, "lam-without-body", "a `lam` has no `body`";
    PARAMS_NOT_AN_ARRAY = ERROR, "params-not-an-array", "the `params` of a `lam` are no array";
    PARAM_NOT_A_STRING = ERROR, "param-not-a-string", "a parameter of a `lam` is no string";
    APP_NOT_AN_OBJECT = ERROR, "app-not-an-object", "the `v` of an `app` is no object";
    APP_WITHOUT_FN = ERROR, "app-without-fn", "an `app` has no `fn`";
    APP_WITHOUT_ARGS = ERROR, "app-without-args", "an `app` has no `args`";
    MATCH_NOT_AN_OBJECT = ERROR, "match-not-an-object", "the `v` of a `match` is no object";
    MATCH_WITHOUT_EXPR = ERROR, "match-without-expr", "a `match` has no `expr`";
    MATCH_WITHOUT_BRANCHES = ERROR, "match-without-branches", "a `match` has no `branches`";
    BRANCHES_NOT_AN_ARRAY = ERROR, "branches-not-an-array", "the `branches` of a `match` are no array";
    BRANCH_NOT_AN_OBJECT = ERROR, "branch-not-an-object", "a branch of a `match` is no object";
    BRANCH_WITHOUT_PATTERN = ERROR, "branch-without-pattern", "a branch of a `match` has no `pattern`";
    BRANCH_WITHOUT_RESULT = ERROR, "branch-without-result", "a branch of a `match` has no `result`";
    UNKNOWN_PATTERN = ERROR, "unknown-pattern",
        "a pattern is neither {\"lit_pattern\": value} nor \"else_pattern\"";
    UNBOUND_REF = ERROR, "unbound-ref", "a `ref` names no parameter around it and no builtin";
    BUILTIN_ARITY = WARNING, "builtin-arity", "a builtin is applied to a wrong number of arguments";
    LAMBDA_ARITY = WARNING, "lambda-arity", "a `lam` is directly applied to a wrong number of arguments";
    DUPLICATE_PARAMETER = WARNING, "duplicate-parameter", "a `lam` has two parameters of one name; the last one holds";
    UNREACHABLE_BRANCH = WARNING, "unreachable-branch", "an earlier branch fits whatever this one fits";
    WRONG_RESULT = ERROR, "wrong-result", "the program's value is not the one that the test input expects";
    RUNTIME_ERROR = ERROR, "runtime-error", "the program cannot be evaluated with the test input";
    STEP_LIMIT = ERROR, "step-limit", "the program takes more steps than `max_steps` with the test input";
    EXECUTION_SKIPPED = INFO, "execution-skipped", "the program was not run, and why";
    UNKNOWN_CHECK = None, "unknown-check", "the option `validation_types` names something that is no check";
    MALFORMED_TEST_INPUTS = None, "malformed-test-inputs", "the option `test_inputs` is not what it must be";
    BAD_MAX_STEPS = None, "bad-max-steps", "the option `max_steps` is no positive whole number";
    ITEM_TOO_LARGE = None, "item-too-large", "the item, or the option `test_inputs`, has 256 MiB or more";
    TOO_MANY_CASES = None, "too-many-cases", "more test cases were asked for than fit into memory";
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn codes_are_distinct_and_well_formed() {
        let names: BTreeSet<_> = ALL.iter().map(|code| code.name).collect();
        assert_eq!(names.len(), ALL.len());
        for code in ALL {
            assert!(code.name.len() <= 64);
            assert!(code.name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'));
            assert!(!code.description.ends_with('.'));
        }
    }
}
