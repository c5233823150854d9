//! Numbers as text.

/// `1 caller`, `1,024 callers`.
pub fn callers(number: usize) -> String {
    match number {
        1 => "1 caller".to_owned(),
        _ => format!("{} callers", grouped(number as f64)),
    }
}

/// Returns a whole number with its thousands separated.
pub fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        let rest = digits.len() - index;
        if index > 0 && rest.is_multiple_of(3) && !text.ends_with('-') {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Three significant digits: `0.123`, `1.23`, `12.3`, `123`, `1,234`.
pub fn significant(number: f64) -> String {
    match number.abs() {
        size if size >= 100.0 => grouped(number),
        size if size >= 10.0 => format!("{number:.1}"),
        size if size >= 1.0 => format!("{number:.2}"),
        _ => format!("{number:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_stand_apart() {
        assert_eq!(grouped(0.0), "0");
        assert_eq!(grouped(999.4), "999");
        assert_eq!(grouped(1000.0), "1,000");
        assert_eq!(grouped(12_345_678.0), "12,345,678");
        assert_eq!(grouped(-100_000.0), "-100,000");
    }

    #[test]
    fn numbers_keep_three_significant_digits() {
        let shown: Vec<String> = [0.123_4, 1.234, 12.34, 123.4, 1234.0].map(significant).into();
        assert_eq!(shown, ["0.123", "1.23", "12.3", "123", "1,234"]);
    }

    #[test]
    fn callers_are_counted_in_words() {
        assert_eq!(callers(1), "1 caller");
        assert_eq!(callers(1024), "1,024 callers");
    }
}
