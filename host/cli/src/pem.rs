//! Certificates as text (PEM) and as they are (DER).

use data_encoding::{BASE64, BASE64_MIME_PERMISSIVE};

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// A certificate as text.
pub(crate) fn of_der(der: &[u8]) -> String {
    let digits = BASE64.encode(der);
    let mut text = format!("{BEGIN}\n");
    let mut rest = digits.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = more;
    }
    text + END + "\n"
}

/// The one certificate in a file of either form; `None` if it holds something else.
pub(crate) fn to_der(bytes: &[u8]) -> Option<Vec<u8>> {
    // A DER certificate is one sequence that reaches to the end.
    if bytes.first() == Some(&0x30) {
        return Some(bytes.to_vec());
    }
    let text = std::str::from_utf8(bytes).ok()?;
    let (_, rest) = text.split_once(BEGIN)?;
    let (digits, after) = rest.split_once(END)?;
    if after.contains(BEGIN) {
        return None;
    }
    let der = BASE64_MIME_PERMISSIVE.decode(digits.trim().as_bytes()).ok()?;
    (der.first() == Some(&0x30)).then_some(der)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_the_same_certificate() {
        for length in [1, 47, 48, 49, 600] {
            let der: Vec<u8> = std::iter::once(0x30).chain((0..length).map(|at| at as u8)).collect();
            let text = of_der(&der);
            assert!(text.lines().all(|line| line.len() <= 64), "{text}");
            assert_eq!(to_der(text.as_bytes()).as_deref(), Some(der.as_slice()));
            assert_eq!(to_der(text.replace('\n', "\r\n").as_bytes()).as_deref(), Some(der.as_slice()));
            assert_eq!(to_der(&der).as_deref(), Some(der.as_slice()));
            assert_eq!(to_der(format!("{text}{text}").as_bytes()), None, "which of them?");
        }
        for wrong in ["", "secret", "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n"] {
            assert_eq!(to_der(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
