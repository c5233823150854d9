use quote::quote;
use syn::parse_str;

use crate::ast::Table;
use crate::expand;
use crate::report::Report;

/// Returns the errors of the struct in `input`.
fn errors(input: &str) -> Vec<String> {
    let input = parse_str(input).expect("a struct, an enum or a union");
    let mut report = Report::default();
    match Table::from_syn(&input, &mut report) {
        Ok(table) => table.validate(&mut report),
        Err(error) => report.add(error),
    }
    let error = report.into_error().into_iter().flatten();
    error.map(|error| error.to_string()).collect()
}

/// There is one error, and it says what to write.
#[track_caller]
fn assert_error(input: &str, remedy: &str) {
    match errors(input).as_slice() {
        [error] if error.contains(remedy) => {}
        errors => panic!("{input}\nis not answered with {remedy:?} but with {errors:#?}"),
    }
}

#[track_caller]
fn assert_error_on_struct(attribute: &str, remedy: &str) {
    assert_error(&format!("#[session({attribute})] struct S {{}}"), remedy);
}

#[track_caller]
fn assert_error_on_field(attribute: &str, remedy: &str) {
    let input = format!("struct S {{ #[session({attribute})] field: i32 }}");
    assert_error(&input, remedy);
}

fn expansion(input: &str) -> String {
    expand::derive(&parse_str(input).expect("a struct, an enum or a union")).to_string()
}

#[test]
fn a_struct_expands_to_its_columns_and_two_traits() {
    let expanded = expansion(
        r#"
        #[derive(Clone)]
        #[session(schema = "auth", data = DeviceInfo)]
        pub struct UserSession {
            /// Whose.
            #[session(column = "owner", index, belongs_to = "users.id", on_delete = "cascade")]
            pub user_id: String,
            #[session(sql_type = "varchar(8)")]
            r#type: std::option::Option<Role>,
        }
        "#,
    );
    let expected = quote! {
        #[automatically_derived]
        impl UserSession {
            #[doc = "The column `owner` of the table `sessions`."]
            pub const USER_ID: ::cloakroom::Column<Self, String> =
                ::cloakroom::Column::new("owner");
            #[doc = "The column `type` of the table `sessions`."]
            const TYPE: ::cloakroom::Column<Self, Role> =
                ::cloakroom::Column::new("type");
        }

        #[automatically_derived]
        impl ::cloakroom::SessionFields for UserSession {
            type Data = DeviceInfo;

            fn truncate_instants(&mut self) {
                ::cloakroom::FieldValue::truncate_instants(&mut self.user_id);
                ::cloakroom::FieldValue::truncate_instants(&mut self.r#type);
            }

            fn to_values(&self) -> ::std::vec::Vec<::cloakroom::FieldValue> {
                ::std::vec![
                    ::cloakroom::FieldValue::new(&self.user_id),
                    ::cloakroom::FieldValue::new(&self.r#type)
                ]
            }

            fn from_row(
                __row: &::cloakroom::FieldReader<'_>,
            ) -> ::std::result::Result<Self, ::cloakroom::Error> {
                ::std::result::Result::Ok(Self {
                    user_id: __row.get(0)?,
                    r#type: __row.get(1)?
                })
            }
        }

        #[automatically_derived]
        impl ::cloakroom::SessionTable for UserSession {
            fn definition() -> ::cloakroom::TableDefinition {
                ::cloakroom::TableDefinition::new("sessions")
                    .schema("auth")
                    .field(
                        ::cloakroom::FieldDefinition::new::<String>("owner")
                            .indexed()
                            .references("users", "id")
                            .on_delete_cascade()
                    )
                    .field(
                        ::cloakroom::FieldDefinition::new::<Role>("type")
                            .nullable()
                            .sql_type("varchar(8)")
                    )
            }
        }
    };
    assert_eq!(expanded, expected.to_string());
}

#[test]
fn a_struct_without_fields_is_a_table_without_columns_of_its_own() {
    let expanded = expansion("struct Ticket {}");
    let definition = quote!({ ::cloakroom::TableDefinition::new("sessions") });
    assert!(expanded.contains(&definition.to_string()), "{expanded}");
    assert!(expanded.contains("type Data = :: cloakroom :: JsonValue"), "{expanded}");
}

#[test]
fn the_library_may_be_elsewhere() {
    for path in ["framework::sessions", "\"framework::sessions\""] {
        let input = format!("#[session(crate = {path})] struct S {{ user_id: Option<String> }}");
        let expanded = expansion(&input);
        assert!(expanded.contains("framework :: sessions :: Column"), "{expanded}");
        assert!(!expanded.contains("cloakroom"), "{expanded}");
    }
}

#[test]
fn after_errors_the_traits_and_constants_are_there_all_the_same() {
    let expanded = expansion(
        r#"#[session(tabel = "keys")] struct S { user_id: i64, role: &'static str, USER_ID: i64 }"#,
    );
    assert!(expanded.contains("compile_error"), "{expanded}");
    assert!(expanded.contains("SessionFields for S"), "{expanded}");
    assert!(expanded.contains("SessionTable for S"), "{expanded}");
    // A second constant of the same name, or one of a type that no column has, would be an error more.
    assert_eq!(expanded.matches("const ").count(), 1, "{expanded}");
}

#[test]
fn only_structs_with_named_fields_are_tables() {
    assert_error("struct S(String);", "write `struct S { user_id: String }`");
    assert_error("struct S;", "write `struct S {}`");
    assert_error("enum S { A }", "write `struct S { user_id: String }`");
    assert_error("union S { a: i32 }", "write `struct S { user_id: String }`");
    for parameter in ["'a", "T", "T: Clone = String", "const N: usize"] {
        assert_error(&format!("struct S<{parameter}> {{}}"), "one struct is one table");
    }
}

#[test]
fn an_unknown_attribute_is_answered_with_the_nearest() {
    for (attribute, remedy) in [
        ("tabel = \"keys\"", "there is no `tabel`: write `table = \"api_keys\"`"),
        ("shema = \"auth\"", "write `schema = \"auth\"`"),
        ("Data = Info", "write `data = DeviceInfo`"),
        ("prefix = \"auth\"", "write `schema = \"auth\"`"),
        ("table_name = \"keys\"", "write `table = \"api_keys\"`"),
        ("without_rowid", "a struct takes `schema`, `table`, `data`, `crate`"),
        ("\"keys\"", "a struct takes `schema`, `table`, `data`, `crate`"),
    ] {
        assert_error_on_struct(attribute, remedy);
    }
    for (attribute, remedy) in [
        ("colum = \"owner\"", "write `column = \"owner_id\"`"),
        ("indexed", "write `index`"),
        ("type = \"text\"", "write `sql_type = \"varchar(32)\"`"),
        ("nullable", "its field is an `Option<…>`"),
        ("unique", "a field takes `column`, `index`, `belongs_to`, `on_delete`, `sql_type`"),
        ("= 3", "a field takes `column`, `index`, `belongs_to`, `on_delete`, `sql_type`"),
    ] {
        assert_error_on_field(attribute, remedy);
    }
}

#[test]
fn an_attribute_in_the_wrong_place_is_told_the_right_one() {
    assert_error_on_struct("index", "write `#[session(index)]` above the field it is for");
    assert_error_on_struct("belongs_to = \"users.id\"", "above the field it is for");
    assert_error_on_field("table = \"keys\"", "write `#[session(table = \"api_keys\")]` above the struct");
    assert_error_on_field("data = Map<K, Map<K, V>>, index", "above the struct");
}

#[test]
fn a_value_of_the_wrong_kind_is_answered_with_the_right_one() {
    for (attribute, remedy) in [
        ("table = 3", "write `table = \"api_keys\"`"),
        ("table = keys", "write `table = \"keys\"`"),
        ("table = b\"keys\"", "write `table = \"api_keys\"`"),
        ("table(\"keys\")", "write `table = \"api_keys\"`"),
        ("table =", "write `table = \"api_keys\"`"),
        ("table", "write `table = \"api_keys\"`"),
        ("table = \"a\" + \"b\"", "write a `,`"),
        ("data = \"Vec<Info>\"", "without quotation marks: write `data = Vec<Info>`"),
        ("data = \"1 + 1\"", "write `data = DeviceInfo`"),
        ("data = 1", "write `data = DeviceInfo`"),
        ("crate = 1", "write `crate = my_framework::cloakroom`"),
        ("crate = \"not a path\"", "write `crate = my_framework::cloakroom`"),
    ] {
        assert_error_on_struct(attribute, remedy);
    }
    for (attribute, remedy) in [
        ("index = true", "write `index` alone"),
        ("index(\"a\")", "write `index` alone"),
        ("index column = \"b\"", "write a `,`"),
        ("sql_type = \" \"", "leave it out"),
    ] {
        assert_error_on_field(attribute, remedy);
    }
    assert_error("#[session] struct S {}", "write `#[session(…)]`");
    assert_error("#[session = \"keys\"] struct S {}", "write `#[session(…)]`");
}

#[test]
fn an_attribute_is_given_once() {
    assert_error_on_struct("table = \"a\", schema = \"b\", table = \"c\"", "`table` is given twice");
    assert_error_on_field("index)] #[session(index", "`index` is given twice");
}

#[test]
fn belongs_to_names_a_table_and_a_column() {
    for (value, remedy) in [
        ("", "write `users.id`"),
        (".", "write `users.id`"),
        ("people", "write `people.id`"),
        ("people.", "write `users.id`"),
        ("app.people.number", "without a schema: write `people.number`"),
        ("people\\0.id", "cannot name a table"),
        ("people.\\nid", "cannot name a column"),
    ] {
        let attribute = format!("belongs_to = \"{value}\", on_delete = \"cascade\"");
        assert_error_on_field(&attribute, remedy);
    }
    assert_error_on_field(
        "on_delete = \"cascade\"",
        "write `belongs_to = \"users.id\", on_delete = \"cascade\"`",
    );
    assert_error_on_field(
        "belongs_to = \"users.id\", on_delete = \"set null\"",
        "write `on_delete = \"cascade\"`",
    );
}

#[test]
fn built_in_columns_are_not_declared_again() {
    for name in
        ["id", "auth_token_digest", "data", "expires_at", "inserted_at", "updated_at", "sliding_seconds"]
    {
        let remedy = format!("`{name}` is built in");
        assert_error(&format!("struct S {{ {name}: i32 }}"), &remedy);
        assert_error(&format!("struct S {{ r#{name}: i32 }}"), &remedy);
        assert_error_on_field(&format!("column = \"{name}\""), &remedy);
        // The field's constant would hide that of the built-in column.
        let input = format!("struct S {{ #[session(column = \"other\")] {name}: i32 }}");
        assert_error(&input, &remedy);
    }
    assert_error("struct S { id: i32 }", "`session.id`");
    assert_error_on_field("column = \"ID\"", "`ID` is built in");
}

#[test]
fn names_are_checked() {
    for (table, remedy) in [
        ("", "leave the attribute out"),
        ("auth.keys", "write `schema = \"auth\", table = \"keys\"`"),
        ("a\\0b", "cannot name a table: it holds a control character"),
        ("a\\nb", "cannot name a table"),
        (&"a".repeat(64), "63 bytes at most, this one 64"),
    ] {
        assert_error_on_struct(&format!("table = \"{table}\""), remedy);
    }
    let long = "é".repeat(32);
    let length = "63 bytes at most, this one 64";
    assert_error_on_struct(&format!("schema = \"{long}\""), length);
    assert_error_on_field(&format!("column = \"{long}\""), length);
    assert_error_on_field(&format!("belongs_to = \"{long}.id\""), length);
    let elsewhere = "with `#[session(column = \"…\")]`";
    assert_error(&format!("struct S {{ {long}: i32 }}"), elsewhere);
}

#[test]
fn names_may_be_as_long_and_as_odd_as_databases_allow() {
    let sixty_three = "a".repeat(63);
    let input = format!(
        r#"
        #[session(schema = "example.org", table = "Tenant A's \"org-42\"")]
        struct S {{
            _0: i32,
            #[session(column = "{sixty_three}", belongs_to = "_._")]
            größe: i32,
            straße: i32,
            #[session(column = "admin?", belongs_to = "my people.person no")]
            is_admin: bool,
        }}
        "#
    );
    assert_eq!(errors(&input), [""; 0]);
}

#[test]
fn columns_and_constants_differ() {
    for fields in [
        "a: i32, #[session(column = \"a\")] b: i32",
        "#[session(column = \"b\")] a: i32, b: i32",
        "a: i32, #[session(column = \"A\")] b: i32",
        "a: i32, A: i32",
    ] {
        assert_error(&format!("struct S {{ {fields} }}"), "the field `a` has the column");
    }
    assert_error(
        "struct S { a: i32, #[session(column = \"b\")] A: i32 }",
        "the field `a` has the constant `A` already",
    );
    let swapped = "struct S { #[session(column = \"b\")] a: i32, #[session(column = \"a\")] b: i32 }";
    assert_eq!(errors(swapped), [""; 0]);
}

#[test]
fn a_type_that_no_column_has_is_answered_with_one_that_it_may_have() {
    for (ty, remedy) in [
        ("&'static str", "write `String`"),
        ("Option<&'static str>", "write `String`"),
        ("(&'static [u8])", "write `Vec<u8>`"),
        ("&'static std::vec::Vec<u8>", "write `std::vec::Vec<u8>`"),
        ("Option<Option<String>>", "write `Option<String>`"),
        ("std::option::Option<Option<Map<K, V>>>", "write `Option<Map<K, V>>`"),
    ] {
        assert_error(&format!("struct S {{ field: {ty} }}"), remedy);
    }
    assert_error_on_struct("data = &'static str", "write `String`");
}

#[test]
fn all_errors_are_told_at_once() {
    let errors = errors(
        r#"
        #[session(table = 3, "keys", schema = "a\nb", tabel = "keys")]
        struct S<T> {
            #[session(index = 1, on_delete = "cascade")]
            id: &'static str,
            #[session(data = Map<K, V>, column = "ok")]
            role: T,
        }
        "#,
    );
    assert_eq!(errors.len(), 10, "{errors:#?}");
}

#[test]
fn a_field_with_a_role_implements_its_trait_and_is_lent_to_the_library() {
    let expanded = expansion("struct ApiKey { name: String, #[session(hint)] shown: Option<String> }");
    for expected in [
        quote! {
            fn role_mut(
                &mut self,
                __role: ::cloakroom::Role,
            ) -> ::std::option::Option<::cloakroom::RoleField<'_>> {
                match __role {
                    ::cloakroom::Role::Hint => ::std::option::Option::Some(
                        ::cloakroom::TextField::field(&mut self.shown)
                    ),
                    _ => ::std::option::Option::None,
                }
            }
        },
        quote! {
            #[automatically_derived]
            impl ::cloakroom::HasHint for ApiKey {
                fn hint(&self) -> ::std::option::Option<&str> {
                    ::cloakroom::TextField::text(&self.shown)
                }
            }
        },
        quote!(.nullable().for_role(::cloakroom::Role::Hint)),
    ] {
        assert!(expanded.contains(&expected.to_string()), "{expected}\nis not in\n{expanded}");
    }
    let instant = expansion("struct ApiKey { #[session(last_seen)] used: Option<OffsetDateTime> }");
    for expected in [
        quote! {
            ::cloakroom::Role::LastSeen => ::std::option::Option::Some(
                ::cloakroom::InstantField::field(&mut self.used)
            ),
        },
        quote! {
            impl ::cloakroom::HasLastSeen for ApiKey {
                fn last_seen(&self) -> ::std::option::Option<::cloakroom::time::OffsetDateTime> {
                    ::cloakroom::InstantField::instant(&self.used)
                }
            }
        },
    ] {
        assert!(instant.contains(&expected.to_string()), "{expected}\nis not in\n{instant}");
    }
    let ended = expansion("struct ApiKey { #[session(ended_because)] reason: Option<String> }");
    for expected in [
        quote!(::cloakroom::OptionalTextField::field(&mut self.reason)),
        quote!(::cloakroom::OptionalTextField::text(&self.reason)),
    ] {
        assert!(ended.contains(&expected.to_string()), "{expected}\nis not in\n{ended}");
    }
    let without = expansion("struct ApiKey { name: String }");
    assert!(!without.contains("role_mut") && !without.contains("HasHint"), "{without}");
}

#[test]
fn an_owner_is_of_the_fields_own_type_and_is_not_lent() {
    for (field, read) in [
        ("user: i64", quote!(::std::option::Option::Some(&self.user))),
        ("user: Option<i64>", quote!(self.user.as_ref())),
    ] {
        let expanded = expansion(&format!("struct S {{ #[session(owner)] {field} }}"));
        let expected = quote! {
            #[automatically_derived]
            impl ::cloakroom::HasOwner for S {
                type Owner = i64;

                fn owner_value(
                    __owner: &i64,
                    _: &::cloakroom::FieldDefinition,
                    _: ::cloakroom::Backend,
                ) -> ::cloakroom::FieldValue {
                    ::cloakroom::FieldValue::new(__owner)
                }

                fn owner(&self) -> ::std::option::Option<&Self::Owner> {
                    #read
                }
            }
        };
        assert!(expanded.contains(&expected.to_string()), "{expected}\nis not in\n{expanded}");
        assert!(!expanded.contains("role_mut"), "{expanded}");
    }
}

#[test]
fn a_table_has_one_column_for_a_role_and_a_role_no_value() {
    assert_error(
        "struct S { #[session(hint)] one: String, #[session(hint)] other: String }",
        "the field `one` has the role `hint` already",
    );
    assert_error("struct S { #[session(hint, hint)] one: String }", "`hint` is given twice");
    assert_error_on_field("hint = true", "`hint` takes no value");
    assert_error_on_field("hnit", "there is no `hnit`: write `hint`");
    assert_error_on_field("token_hint", "write `hint`");
    assert_error_on_struct("hint", "`hint` belongs on a field");
}

#[test]
fn a_struct_with_an_error_still_has_the_traits_of_its_roles() {
    let expanded =
        expansion("struct S { #[session(hint, indx)] one: String, #[session(hint)] other: String }");
    assert_eq!(
        expanded.matches(&quote!(impl ::cloakroom::HasHint for S).to_string()).count(),
        1,
        "{expanded}"
    );
}
