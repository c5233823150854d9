//! The known attributes, and the errors for unknown ones.

use syn::ext::IdentExt;
use syn::{Error, Ident};

/// Where an attribute stands.
#[derive(Clone, Copy)]
pub(crate) enum Place {
    Struct,
    Field,
}

struct Known {
    name: &'static str,
    example: &'static str,
    /// The names of this attribute in other libraries.
    synonyms: &'static [&'static str],
}

const ON_STRUCTS: [Known; 7] = [
    Known { name: "schema", example: "schema = \"auth\"", synonyms: &["prefix"] },
    Known { name: "table", example: "table = \"api_keys\"", synonyms: &["table_name", "name", "rename"] },
    Known { name: "data", example: "data = DeviceInfo", synonyms: &["json"] },
    Known { name: "crate", example: "crate = my_framework::cloakroom", synonyms: &["path"] },
    Known { name: "exchange", example: "exchange", synonyms: &["refresh", "refresh_tokens"] },
    Known { name: "audit_log", example: "audit_log", synonyms: &["audit", "log", "history"] },
    Known { name: "rotation_grace", example: "rotation_grace", synonyms: &["grace", "rotate_with_grace"] },
];

const ON_FIELDS: [Known; 15] = [
    Known { name: "column", example: "column = \"owner_id\"", synonyms: &["column_name", "name", "rename"] },
    Known { name: "index", example: "index", synonyms: &["indexed"] },
    Known {
        name: "belongs_to",
        example: "belongs_to = \"users.id\"",
        synonyms: &["foreign_key", "references"],
    },
    Known { name: "on_delete", example: "on_delete = \"cascade\"", synonyms: &[] },
    Known { name: "sql_type", example: "sql_type = \"varchar(32)\"", synonyms: &["type", "db_type"] },
    // The roles; see `role.rs`.
    Known { name: "hint", example: "hint", synonyms: &["token_hint", "prefix", "last_four"] },
    Known {
        name: "authenticated_at",
        example: "authenticated_at",
        synonyms: &["auth_time", "confirmed_at", "password_confirmed_at", "sudo_at", "reauthenticated_at"],
    },
    Known {
        name: "assurance",
        example: "assurance",
        synonyms: &["acr", "aal", "auth_level", "assurance_level"],
    },
    Known {
        name: "last_seen",
        example: "last_seen",
        synonyms: &["last_used", "last_used_at", "last_seen_at", "last_active", "last_activity"],
    },
    Known { name: "scopes", example: "scopes", synonyms: &["scope", "permissions", "abilities"] },
    Known { name: "owner", example: "owner", synonyms: &["owned_by", "user", "user_id", "subject"] },
    Known {
        name: "ended_because",
        example: "ended_because",
        synonyms: &["end_reason", "reason", "ended_reason", "revoked_because", "revocation_reason"],
    },
    Known {
        name: "last_address",
        example: "last_address",
        synonyms: &["last_ip", "last_used_ip", "ip_address", "remote_address"],
    },
    Known { name: "last_user_agent", example: "last_user_agent", synonyms: &["user_agent"] },
    Known {
        name: "device_key",
        example: "device_key",
        synonyms: &["dbsc", "bound_key", "public_key", "session_key", "device"],
    },
];

impl Place {
    fn known(self) -> &'static [Known] {
        match self {
            Self::Struct => &ON_STRUCTS,
            Self::Field => &ON_FIELDS,
        }
    }

    /// Returns the names that may stand there, for a message.
    pub(crate) fn takes(self) -> String {
        let names: Vec<_> = self.known().iter().map(|known| format!("`{}`", known.name)).collect();
        let names = names.join(", ");
        match self {
            Self::Struct => format!("a struct takes {names}"),
            Self::Field => format!("a field takes {names}"),
        }
    }
}

pub(crate) fn unknown(name: &Ident, place: Place) -> Error {
    let word = name.unraw().to_string();
    let message = if let Some(remedy) = elsewhere(&word, place) {
        remedy
    } else if matches!(place, Place::Field) && ["nullable", "optional"].contains(&word.as_str()) {
        format!("there is no `{word}`: a column is nullable when its field is an `Option<…>`")
    } else if let Some(known) = nearest(&word, place.known()) {
        format!("there is no `{word}`: write `{}`", known.example)
    } else {
        format!("there is no `{word}`: {}", place.takes())
    };
    Error::new(name.span(), message)
}

/// Returns the error for an attribute that belongs in the other place.
fn elsewhere(word: &str, place: Place) -> Option<String> {
    let (other, wrong_place) = match place {
        Place::Struct => (Place::Field, "belongs on a field, not on the struct"),
        Place::Field => (Place::Struct, "belongs on the struct, not on a field"),
    };
    let known = other.known().iter().find(|known| known.name == word)?;
    let right_place = match other {
        Place::Struct => "the struct",
        Place::Field => "the field it is for",
    };
    let example = known.example;
    Some(format!("`{word}` {wrong_place}: write `#[session({example})]` above {right_place}"))
}

fn nearest<'a>(word: &str, known: &'a [Known]) -> Option<&'a Known> {
    known.iter().find(|known| known.synonyms.contains(&word)).or_else(|| {
        known
            .iter()
            .map(|known| (edit_distance(word, known.name), known))
            .filter(|(distance, _)| *distance <= 2)
            .min_by_key(|(distance, _)| *distance)
            .map(|(_, known)| known)
    })
}

/// Returns how many characters must be added, removed or replaced (Levenshtein).
fn edit_distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.chars().count()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in to.chars().enumerate() {
            let exchanged = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = exchanged.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_role_is_known() {
        for role in &crate::role::ROLES {
            assert!(ON_FIELDS.iter().any(|known| known.name == role.name), "{}", role.name);
        }
    }

    #[test]
    fn distances_are_counted_in_characters() {
        for (from, to, distance) in [
            ("table", "table", 0),
            ("tabel", "table", 2),
            ("tabl", "table", 1),
            ("", "data", 4),
            ("dätä", "data", 2),
        ] {
            assert_eq!(edit_distance(from, to), distance, "{from} → {to}");
        }
    }
}
