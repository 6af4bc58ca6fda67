//! Numbers in words that people read: those of the command line, and those of the control host.

/// A number with its thousands apart: `12,345`.
pub fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count and what it counts: `1 run`, `2,000 runs`.
pub fn plural(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{} {what}s", number(count)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_one_and_thousands_stand_apart() {
        assert_eq!([0, 1, 2, 12_345].map(|count| plural(count, "run")), ["0 runs", "1 run", "2 runs", "12,345 runs"]);
        assert_eq!([999, 1000, 1_234_567].map(number), ["999", "1,000", "1,234,567"]);
    }
}
