//! Programs for tests, written shortly.

/// A `lit` of this JSON text.
pub(crate) fn lit(value: &str) -> String {
    format!(r#"{{"g":"lit","v":{value}}}"#)
}

/// A `ref`.
pub(crate) fn name(name: &str) -> String {
    format!(r#"{{"g":"ref","v":"{name}"}}"#)
}

/// A `vec`.
pub(crate) fn vector<const N: usize>(elements: [String; N]) -> String {
    format!(r#"{{"g":"vec","v":[{}]}}"#, elements.join(","))
}

/// A `lam`.
pub(crate) fn lam<const N: usize>(params: [&str; N], body: String) -> String {
    let params = params.map(|param| format!("\"{param}\"")).join(",");
    format!(r#"{{"g":"lam","v":{{"params":[{params}],"body":{body}}}}}"#)
}

/// An `app` with a vector of arguments.
pub(crate) fn app<const N: usize>(function: String, args: [String; N]) -> String {
    format!(r#"{{"g":"app","v":{{"fn":{function},"args":{}}}}}"#, vector(args))
}

/// An `app` of a builtin.
pub(crate) fn op<const N: usize>(builtin: &str, args: [String; N]) -> String {
    app(name(builtin), args)
}

/// A `match` on literals, with an `else_pattern` where the pattern is empty.
pub(crate) fn choose<const N: usize>(subject: String, branches: [(&str, String); N]) -> String {
    let branches = branches.map(|(pattern, result)| {
        let pattern =
            if pattern.is_empty() { "\"else_pattern\"".to_owned() } else { format!(r#"{{"lit_pattern":{pattern}}}"#) };
        format!(r#"{{"pattern":{pattern},"result":{result}}}"#)
    });
    format!(r#"{{"g":"match","v":{{"expr":{subject},"branches":[{}]}}}}"#, branches.join(","))
}

/// A `fix`.
pub(crate) fn fix(inner: String) -> String {
    format!(r#"{{"g":"fix","v":{inner}}}"#)
}
