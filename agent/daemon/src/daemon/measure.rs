//! Sizes and other measures, as people write them: `64MiB`, `1.5 KiB`, `500kB`.

/// What is wrong with a text that is no measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MeasureError {
    /// It is no number with a unit that is known.
    Malformed,
    /// It is zero.
    Zero,
    /// It is more than 64 bits hold.
    TooLarge,
}

/// Units of bytes.
pub const BYTES: [(&str, u64); 9] = [
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
];

/// Read a size in bytes: a number and a unit, large letters or small.
///
/// # Errors
/// If it is something else, or zero.
pub fn size(text: &str) -> Result<u64, MeasureError> {
    measure(text, |unit| Some(BYTES.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?.1))
}

/// Read a decimal number with a unit, of which `factor` says what it stands for; without the errors of floating point.
///
/// # Errors
/// If it is something else, or zero.
pub fn measure(text: &str, factor: impl Fn(&str) -> Option<u64>) -> Result<u64, MeasureError> {
    use MeasureError::{Malformed, TooLarge, Zero};
    let text = text.trim();
    let at = text.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or(Malformed)?;
    let (number, unit) = text.split_at(at);
    let factor = u128::from(factor(unit.trim_start()).ok_or(Malformed)?);
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || part.len() > 9 || number.ends_with('.') || part.contains('.') {
        return Err(Malformed);
    }
    let whole: u64 = whole.parse().map_err(|_| TooLarge)?;
    let part: u64 = if part.is_empty() { 0 } else { format!("{part:0<9}").parse().map_err(|_| Malformed)? };
    // Two numbers of 64 bits: their product fits, and so does what is added to it.
    let measure = u128::from(whole) * factor + u128::from(part) * factor / 1_000_000_000;
    match u64::try_from(measure) {
        Ok(0) => Err(Zero),
        Ok(measure) => Ok(measure),
        Err(_) => Err(TooLarge),
    }
}

#[cfg(test)]
mod tests {
    use super::{MeasureError::*, *};

    #[test]
    fn sizes_are_read() {
        for (text, bytes) in [
            ("64MiB", 64 << 20),
            ("1GiB", 1 << 30),
            ("1.5 KiB", 1536),
            (" 500kb ", 500_000),
            ("7B", 7),
            ("16777215TiB", 16_777_215 << 40),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["64", "MiB", "-1MiB", "", "1.MiB", "1.2.3MiB", "4 parsecs", ".5MiB", "0.0000000001GiB"] {
            assert_eq!(size(text), Err(Malformed), "{text}");
        }
        assert_eq!((size("0MiB"), size("0.1B")), (Err(Zero), Err(Zero)));
        for text in ["16777216TiB", "99999999999TiB", "99999999999999999999B", "18446744073709551615.999999999TiB"] {
            assert_eq!(size(text), Err(TooLarge), "{text}");
        }
    }
}
