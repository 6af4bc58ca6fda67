//! Certificates in files: as text (PEM), or as they are (DER).

use data_encoding::BASE64_MIME_PERMISSIVE;

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

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
    use pigeon_api::client::pem as of_der;

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
