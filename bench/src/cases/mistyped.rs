//! Refuse mistyped keys: at once, by their checksum, or after a question to the database, without one.

use cloakroom::{Config, Database, Sessions};

use crate::catalogue::name;
use crate::contestants::mistyped::{Harness, Keys, Refusing, format};
use crate::contestants::{Refuse, performing};
use crate::context::Context;
use crate::failure::Outcome;
use crate::format::callers;
use crate::results::Table;

pub fn run(context: &mut Context) -> Outcome<Vec<Table>> {
    let file = context.file("mistyped.db")?;
    let keys = Keys::mistyped()?;
    let url = format!("sqlite:{}", file.display());
    let (database, with, without) = context.runtime.block_on(async {
        let database = Database::connect(&url).await?;
        let with = Config::builder().token_format(format()?).build()?;
        let with = Sessions::new(database.clone(), with)?;
        with.migrate().await?;
        let without = Sessions::new(database.clone(), Config::default())?;
        Outcome::Ok((database, with, without))
    })?;
    let contestants = [
        performing::<Refuse, _>(name::CLOAKROOM, Refusing { sessions: with, keys: keys.clone() }),
        performing::<Refuse, _>(name::NO_CHECKSUM, Refusing { sessions: without, keys: keys.clone() }),
        performing::<Refuse, _>(name::HARNESS, Harness(keys)),
    ];
    let compare = |number: &usize| {
        let title = format!("refuse mistyped keys, {}", callers(*number));
        let mut table =
            context.compare_untimed(format!("mistyped/{number}"), title, &contestants, *number)?;
        table.notes.push(note());
        Ok(table)
    };
    let tables = [1, 128].iter().map(compare).collect();
    context.runtime.block_on(database.close());
    tables
}

fn note() -> String {
    "Keys of the format `acme_live`, each with one character mistyped. Without a checksum each of them is hashed and \
     looked for, here in an empty table on SQLite. One caller runs on one core."
        .to_owned()
}
