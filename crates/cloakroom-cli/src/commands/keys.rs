//! Makes keys, without a database.

use serde_json::json;
use time::OffsetDateTime;

use crate::args::Keys;
use crate::failure::Failure;
use crate::output::Output;
use crate::schemes;

pub(crate) fn run(output: Output, keys: Keys) -> Result<(), Failure> {
    match keys {
        Keys::Generate { name } => {
            let (name, entry) = schemes::generate(name.unwrap_or_else(this_month)).map_err(Failure::usage)?;
            output.answer(&json!({"name": name, "entry": entry.as_str()}), entry.as_str())
        }
    }
}

fn this_month() -> String {
    let today = OffsetDateTime::now_utc();
    format!("{:04}-{:02}", today.year(), u8::from(today.month()))
}
