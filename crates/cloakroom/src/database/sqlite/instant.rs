//! How instants are written as text, and read.
//!
//! Each lookup writes one and reads three, so the form that is written is written and read here, in a tenth of the
//! instructions that a library of many forms needs. Any other form is left to the library.

use std::error::Error;

use time::format_description::well_known::Rfc3339;
use time::{Date, Month, OffsetDateTime, Time};

use crate::clock;

/// The form, of which each `0` is a digit. It is fixed in width, so that the text sorts as the instants do.
const FORM: [u8; 27] = *b"0000-00-00T00:00:00.000000Z";

/// Where the numbers of the form begin, and how many digits they have: years, months, days, hours, minutes, seconds,
/// microseconds.
const NUMBERS: [(usize, usize); 7] = [(0, 4), (5, 2), (8, 2), (11, 2), (14, 2), (17, 2), (20, 6)];

/// Writes an instant of the years 1 to 9999, in UTC. Every instant was converted to UTC, and the calendar's end is
/// enforced where expiries are computed.
pub(crate) fn timestamp_text(instant: OffsetDateTime) -> String {
    let (year, month, day) = instant.to_calendar_date();
    let (hour, minute, second, micros) = instant.to_hms_micro();
    let mut text = FORM;
    let numbers = [
        year.unsigned_abs(),
        u8::from(month).into(),
        day.into(),
        hour.into(),
        minute.into(),
        second.into(),
        micros,
    ];
    for ((begin, digits), mut number) in NUMBERS.into_iter().zip(numbers) {
        for digit in text[begin..begin + digits].iter_mut().rev() {
            *digit = b"0123456789"[number as usize % 10];
            number /= 10;
        }
    }
    String::from_utf8(text.to_vec()).unwrap_or_default()
}

/// Reads an instant in the form that is written here, or with a space or without a zone, as the driver or another program
/// may have written it.
pub(crate) fn instant(text: &str) -> Result<OffsetDateTime, Box<dyn Error + Send + Sync>> {
    if let Some(instant) = written_here(text) {
        return Ok(instant);
    }
    let in_full = |_| OffsetDateTime::parse(&format!("{}Z", text.replacen(' ', "T", 1)), &Rfc3339);
    let instant = OffsetDateTime::parse(text, &Rfc3339).or_else(in_full)?;
    clock::in_range(instant).ok_or_else(|| "an instant beyond the years 1 to 9999".into())
}

/// Reads an instant in the form that is written here, of the years 1 to 9999.
fn written_here(text: &str) -> Option<OffsetDateTime> {
    let text: &[u8; FORM.len()] = text.as_bytes().try_into().ok()?;
    let has_form = text.iter().zip(FORM).all(|(byte, form)| match form {
        b'0' => byte.is_ascii_digit(),
        form => *byte == form,
    });
    if !has_form {
        return None;
    }
    let [year, month, day, hour, minute, second, micros] = NUMBERS.map(|(begin, digits)| {
        text[begin..begin + digits].iter().fold(0, |number, digit| 10 * number + u32::from(digit - b'0'))
    });
    if year == 0 {
        return None;
    }
    let small = |number: u32| u8::try_from(number).ok();
    let month = Month::try_from(small(month)?).ok()?;
    let date = Date::from_calendar_date(i32::try_from(year).ok()?, month, small(day)?).ok()?;
    let time = Time::from_hms_micro(small(hour)?, small(minute)?, small(second)?, micros).ok()?;
    Some(OffsetDateTime::new_utc(date, time))
}

#[cfg(test)]
mod tests {
    use time::macros::{datetime, format_description};

    use super::*;

    #[test]
    fn instants_are_written_and_read_as_the_library_does() {
        let form = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");
        let mut instant = datetime!(0001-01-01 00:00:00.000001 UTC);
        let mut count = 0;
        while instant.year() < 9990 {
            let text = timestamp_text(instant);
            assert_eq!(text, instant.format(form).unwrap());
            assert_eq!(written_here(&text), Some(instant));
            assert_eq!(OffsetDateTime::parse(&text, &Rfc3339).unwrap(), instant);
            instant += time::Duration::new(3_456_789, 123_457_000);
            count += 1;
        }
        assert!(count > 10_000);
        let last = datetime!(9999-12-31 23:59:59.999999 UTC);
        assert_eq!(timestamp_text(last), "9999-12-31T23:59:59.999999Z");
        assert_eq!(written_here("9999-12-31T23:59:59.999999Z"), Some(last));
        assert_eq!(timestamp_text(datetime!(2024-02-29 01:02:03 UTC)), "2024-02-29T01:02:03.000000Z");
    }

    #[test]
    fn every_other_form_is_left_to_the_library() {
        for text in [
            "2026-11-23 01:48:09.123456Z",
            "2026-11-23T01:48:09.123456",
            "2026-11-23T01:48:09.123456+00:00",
            "2026-11-23T01:48:09Z",
            "2026-11-23T01:48:09.1234567Z",
            "2026-11-23t01:48:09.123456z",
            "2026-02-29T01:48:09.123456Z",
            "2026-13-01T01:48:09.123456Z",
            "2026-00-01T01:48:09.123456Z",
            "2026-11-23T24:48:09.123456Z",
            "2026-11-23T01:48:60.123456Z",
            "0000-11-23T01:48:09.123456Z",
            "-026-11-23T01:48:09.123456Z",
            "+026-11-23T01:48:09.123456Z",
            "2026-11-23T01:48:09.12345aZ",
            "2026-11-23T01:48:09.12345 Z",
            "",
        ] {
            assert_eq!(written_here(text), None, "{text}");
        }
        let instant = instant("2026-11-23 01:48:09.123456").unwrap();
        assert_eq!(instant, datetime!(2026-11-23 01:48:09.123456 UTC));
        assert!(super::instant("2026-02-29T01:48:09.123456Z").is_err());
        assert!(super::instant("0000-11-23T01:48:09.123456Z").is_err());
    }
}
