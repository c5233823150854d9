//! Every attribute does what the derive's manual says.

#![allow(unused_qualifications, reason = "an `Option` is one by its path, too")]

use cloakroom::{Column, HasScopes, Role, Scope, Scopes, SessionFields, SessionTable, sqlx};
use serde::{Deserialize, Serialize};

mod framework {
    pub(crate) use cloakroom as sessions;
}

#[derive(Clone, Serialize, Deserialize)]
struct DeviceInfo {
    name: String,
}

#[derive(Clone, sqlx::Type)]
#[sqlx(transparent)]
struct Rank(i32);

#[derive(Clone, SessionTable)]
#[session(schema = "auth", table = "api_keys", data = DeviceInfo)]
#[session(crate = framework::sessions)]
struct ApiKey {
    #[session(column = "user_id", index, belongs_to = "users.id", on_delete = "cascade")]
    owner: i64,
    #[session(index)]
    #[session(sql_type = "varchar(32)")]
    label: Option<String>,
    #[session(belongs_to = "tenants.id")]
    r#type: Vec<u8>,
    rank: std::option::Option<Rank>,
}

#[derive(Clone, SessionTable)]
#[session(crate = "framework::sessions")]
struct Plain {}

#[derive(Clone, Copy, Debug, PartialEq, Scope)]
#[scope(rename_all = "kebab-case", crate = framework::sessions)]
enum Permission {
    ReadAll,
    #[scope(rename = "Write:all")]
    Write,
}

#[derive(Clone, SessionTable)]
#[session(crate = framework::sessions)]
struct Scoped {
    #[session(scopes, column = "may", index, sql_type = "text")]
    granted: Option<Scopes<Permission>>,
    asked_for: Scopes<Permission>,
    others: Scopes<String>,
}

#[test]
fn scopes_have_the_names_that_their_attributes_say() {
    assert_eq!(Permission::ALL, [Permission::ReadAll, Permission::Write]);
    let names: Vec<_> = Permission::ALL.iter().map(Scope::name).collect();
    assert_eq!(names, ["read-all", "Write:all"]);

    let table = Scoped::definition();
    let granted = table.field_for(Role::Scopes).unwrap();
    assert!(granted.name() == "may" && granted.is_nullable() && granted.is_indexed());
    let _: Column<Scoped, Scopes<Permission>> = Scoped::GRANTED;
    let _: Column<Scoped, Scopes<String>> = Scoped::OTHERS;
    let none = Scoped { granted: None, asked_for: Scopes::new(), others: Scopes::new() };
    assert!(none.scopes().is_none());
    let some = Scoped { granted: Some(Scopes::all()), ..none };
    assert!(some.scopes().unwrap().contains(Permission::Write));
}

#[test]
fn every_attribute_does_what_it_says() {
    let table = ApiKey::definition();
    assert_eq!(table.to_string(), "auth.api_keys");
    let fields: Vec<_> =
        table.fields().iter().map(|field| (field.name(), field.is_nullable(), field.is_indexed())).collect();
    assert_eq!(
        fields,
        [("user_id", false, true), ("label", true, true), ("type", false, false), ("rank", true, false),]
    );
    let key = ApiKey { owner: 1, label: None, r#type: vec![], rank: Some(Rank(1)) };
    assert_eq!(key.to_values().len(), 4);

    let owner: Column<ApiKey, i64> = ApiKey::OWNER;
    let label: Column<ApiKey, String> = ApiKey::LABEL;
    let kind: Column<ApiKey, Vec<u8>> = ApiKey::TYPE;
    assert_eq!([owner.name(), label.name(), kind.name()], ["user_id", "label", "type"]);
    let _: Column<ApiKey, Rank> = ApiKey::RANK;
    let _: Option<<ApiKey as SessionFields>::Data> = None::<DeviceInfo>;

    assert_eq!(Plain::definition().to_string(), "sessions");
    assert!(Plain::definition().fields().is_empty());
    let _: Option<<Plain as SessionFields>::Data> = None::<cloakroom::JsonValue>;
}
