//! The trigger that announces what any SQL revokes, whoever sends it: a cascade, another program, a person.

use std::fmt::Write;

use crate::database::announcing::{CHANNEL, SETTING};

/// What the names of the triggers begin with.
pub(crate) const TRIGGERS: &str = "cloakroom_announce_";

/// How many sessions are announced one by one.
const MAX_ANNOUNCED: usize = 1000;

/// What the trigger is about. The names are quoted, but for that in the announcement.
pub(crate) struct AnnounceTrigger<'t> {
    /// The table and the function, each with its schema.
    pub(crate) table: String,
    pub(crate) function: String,
    /// The table as announcements name it.
    pub(crate) announced: &'t str,
    /// The columns of which a change means that what was read no longer holds.
    pub(crate) columns: Vec<String>,
}

impl AnnounceTrigger<'_> {
    /// Returns the function's body.
    ///
    /// A session that has ended by its own row is no longer anywhere accepted, so nothing about it is announced. Neither is
    /// it when a row is deleted that expired more than a day ago, as pruning does. Nothing at all is announced in a transaction
    /// that has silenced it.
    pub(crate) fn body(&self) -> String {
        let about = format!("'{} '", self.announced.replace('\'', "''"));
        let notify = |what: &str| format!("PERFORM pg_notify('{CHANNEL}', {about} || {what})");
        let each =
            notify(&format!("CASE WHEN count(*) OVER () > {MAX_ANNOUNCED} THEN '*' ELSE o.id::text END"));
        let has_not_ended = "(o.expires_at IS NULL OR o.expires_at > o.updated_at)";
        let mut differs = String::new();
        for column in &self.columns {
            // Not every type can be compared, but every type has a text.
            let _ = write!(differs, " OR n.{column}::text IS DISTINCT FROM o.{column}::text");
        }
        format!(
            "
BEGIN
    IF current_setting('{SETTING}', true) = 'off' THEN
        RETURN NULL;
    ELSIF TG_OP = 'TRUNCATE' THEN
        {all};
    ELSIF TG_OP = 'DELETE' THEN
        {each} FROM cloakroom_old o WHERE {has_not_ended}
            AND (o.expires_at IS NULL OR o.expires_at::timestamptz > now() - interval '1 day');
    ELSE
        {each} FROM cloakroom_old o LEFT JOIN cloakroom_new n ON n.id = o.id WHERE {has_not_ended}
            AND (n.id IS NULL OR n.expires_at < o.expires_at OR (o.expires_at IS NULL AND n.expires_at IS NOT NULL){differs});
    END IF;
    RETURN NULL;
END
",
            all = notify("'*'"),
        )
    }

    /// Returns the statements that make the trigger, or make it anew.
    pub(crate) fn statements(&self) -> Vec<String> {
        let Self { table, function, .. } = self;
        let body = self.body();
        // The table's name may hold any text.
        let mut quote = "$cloakroom$".to_owned();
        while body.contains(&quote) {
            quote.insert(1, '_');
        }
        let mut statements = vec![format!(
            "CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql \
             SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS {quote}{body}{quote}",
        )];
        for (event, tables) in [
            ("update", "REFERENCING OLD TABLE AS cloakroom_old NEW TABLE AS cloakroom_new "),
            ("delete", "REFERENCING OLD TABLE AS cloakroom_old "),
            ("truncate", ""),
        ] {
            let name = format!("{TRIGGERS}{event}");
            statements.push(format!("DROP TRIGGER IF EXISTS {name} ON {table}"));
            statements.push(format!(
                "CREATE TRIGGER {name} AFTER {} ON {table} {tables}FOR EACH STATEMENT EXECUTE FUNCTION {function}()",
                event.to_uppercase()
            ));
        }
        statements
    }

    /// Returns how many triggers there are.
    pub(crate) const COUNT: usize = 3;

    /// The bodies of the table's triggers that are on, one for each. The value is the table's quoted name.
    pub(crate) const INSTALLED: &'static str = "SELECT p.prosrc FROM pg_catalog.pg_trigger t \
        JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid \
        WHERE t.tgrelid = to_regclass($1::text) AND t.tgname LIKE 'cloakroom\\_announce\\_%' AND t.tgenabled <> 'D'";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_holds_the_tables_name_as_text_and_is_no_end_of_its_own() {
        let trigger = AnnounceTrigger {
            table: "\"s\"".into(),
            function: "\"f\"".into(),
            announced: "it's $cloakroom$",
            columns: vec!["\"user_id\"".into()],
        };
        let body = trigger.body();
        assert!(body.contains("'it''s "), "{body}");
        assert!(body.contains("n.\"user_id\"::text IS DISTINCT FROM o.\"user_id\"::text"), "{body}");
        let function = &trigger.statements()[0];
        assert_eq!(function.matches("$_cloakroom$").count(), 2, "{function}");
    }
}
