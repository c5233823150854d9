#[cfg(feature = "sqlite")]
mod a_later_version;

use super::*;

#[test]
fn no_name_becomes_sql() {
    let hostile = "\"; drop table users; --";
    let twice = "`; drop table users; --";
    for backend in Backend::ALL {
        let table = TableDefinition::new(if backend == Backend::MySql { twice } else { hostile });
        let quoted = if backend == Backend::MySql {
            "```; drop table users; --`"
        } else {
            "\"\"\"; drop table users; --\""
        };
        assert_eq!(down_sql(&table, backend).unwrap(), [format!("DROP TABLE IF EXISTS {quoted}")]);
        for name in ["", "a\0b", "a\nb"] {
            let refused = up_sql(&TableDefinition::new(name), backend);
            assert!(matches!(refused, Err(ConfigError::Identifier { .. })), "{name:?}");
        }
    }
}

#[test]
fn every_column_is_made_by_a_migration() {
    for built_in in &BUILT_IN_COLUMNS {
        let makes = |migration: &&Migration| migration.version == built_in.since;
        assert_eq!(STEPS.migrations.iter().filter(makes).count(), 1, "{}", built_in.name);
        assert!(
            built_in.since == 1 || built_in.nullable,
            "{} is added to rows that are there",
            built_in.name
        );
    }
    let versions = STEPS.migrations.iter().map(|migration| migration.version);
    assert!(versions.eq((1..).take(STEPS.migrations.len())), "they count from 1");
}
