//! Instants as Cloakroom's tables hold them on SQLite: text that sorts.

use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

const INSTANT: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");

pub fn time_text(instant: OffsetDateTime) -> String {
    instant.format(INSTANT).expect("an instant of these years has a text")
}

pub fn instant(text: &str) -> Result<OffsetDateTime, time::error::Parse> {
    time::PrimitiveDateTime::parse(text, INSTANT).map(time::PrimitiveDateTime::assume_utc)
}
