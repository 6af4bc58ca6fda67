//! Labels: what agents say that they are or have, and what jobs ask of them.
//!
//! A label is free text: `gpu`, `arch=x86_64`, `model:codellama:7b`. What a job asks for is a label as it is, or the key
//! alone of one that has a value: `arch` stands for any `arch=...`.

use crate::limits::MAX_NAME;

/// Most labels of an agent.
pub const MAX_LABELS: usize = 64;

/// Most labels that a job requires, and most that it prefers.
pub const MAX_WANTED: usize = 16;

/// What is no label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    /// Empty, or too long.
    #[error("a label has 1 to {MAX_NAME} bytes")]
    Length,
    /// A line break, or something like it.
    #[error("a label has no control characters")]
    Control,
    /// Nobody would see it.
    #[error("a label neither begins nor ends with a space")]
    Space,
    /// `=value`.
    #[error("a label has something before its =, such as arch=x86_64")]
    Key,
}

/// Whether this can be a label.
///
/// # Errors
/// If it cannot, why not.
pub fn check(label: &str) -> Result<(), LabelError> {
    if label.is_empty() || label.len() > MAX_NAME {
        Err(LabelError::Length)
    } else if label.chars().any(char::is_control) {
        Err(LabelError::Control)
    } else if label.trim() != label {
        Err(LabelError::Space)
    } else if label.starts_with('=') {
        Err(LabelError::Key)
    } else {
        Ok(())
    }
}

/// Whether a label is what is asked for: it, or its key.
pub fn is(label: &str, wanted: &str) -> bool {
    label.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_free_text_in_one_line() {
        let long = "n".repeat(MAX_NAME);
        for label in ["gpu", "arch=x86_64", "model:codellama:7b", "two words", "größe=1", "a=", "a=b=c", &long] {
            assert_eq!(check(label), Ok(()), "{label}");
        }
        for (label, error) in [
            ("", LabelError::Length),
            (&format!("{long}n"), LabelError::Length),
            ("a\nb", LabelError::Control),
            (" a", LabelError::Space),
            ("=a", LabelError::Key),
        ] {
            assert_eq!(check(label), Err(error), "{label}");
        }
    }

    #[test]
    fn a_key_stands_for_any_value() {
        for wanted in ["arch", "arch=x86_64"] {
            assert!(is("arch=x86_64", wanted), "{wanted}");
        }
        for wanted in ["arc", "arch=", "arch=x86", "arch=x86_64=1", "x86_64"] {
            assert!(!is("arch=x86_64", wanted), "{wanted}");
        }
        assert!(is("gpu", "gpu") && is("a=b=c", "a=b") && !is("gpu", "gpu2") && !is("model:a", "model"));
    }
}
