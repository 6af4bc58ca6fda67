//! Numbers as the language has them: 64-bit floats.

/// The number that a JSON number token spells; `None` where it is beyond 64-bit floats. Minus zero is zero.
#[inline]
pub(crate) fn parse(token: &[u8]) -> Option<f64> {
    if let [digit @ b'0'..=b'9'] = token {
        return Some(f64::from(digit - b'0'));
    }
    let number: f64 = std::str::from_utf8(token).ok()?.parse().ok()?;
    number.is_finite().then_some(number + 0.0)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn what_floats_hold() {
        assert_eq!(parse(b"7"), Some(7.0));
        assert_eq!(parse(b"-0").map(f64::to_bits), Some(0));
        assert_eq!(parse(b"6.0"), Some(6.0));
        assert_eq!(parse(b"-1.5E+2"), Some(-150.0));
        assert_eq!(parse(b"1e-999999999999999999999"), Some(0.0));
        assert_eq!(parse(b"1e400"), None);
        assert_eq!(parse(b"-1e99999999999999999999"), None);
        assert_eq!(parse("9".repeat(1_000_000).as_bytes()), None);
        assert_eq!(parse(format!("0.{}1", "0".repeat(1_000_000)).as_bytes()), Some(0.0));
    }
}
