//! Fields whose type in SQL the struct names: they are stored, read and compared as that type does it.

use cloakroom::{DynamicFields, DynamicValue, ErrorKind, NewSession, SessionTable, Sessions};
use cloakroom_testing::{Kind, TestDatabase, each_database};

#[derive(Clone, Debug, PartialEq, SessionTable)]
#[session(table = "priced")]
struct Priced {
    #[session(sql_type = "numeric(12, 2)", index)]
    price: String,
    #[session(sql_type = "date")]
    since: Option<String>,
    #[session(sql_type = "varchar(4)")]
    code: String,
}

fn priced(price: &str, since: Option<&str>) -> NewSession<Priced> {
    let (price, since) = (price.to_owned(), since.map(str::to_owned));
    NewSession::new(Priced { price, since, code: "four".into() })
}

async fn text_in_a_column_of_another_type_is_read_and_compared_as_that_type(db: TestDatabase) {
    let sessions = db.sessions::<Priced>().await;
    let created = sessions.create(priced("12.50", Some("2026-11-28"))).await.unwrap();
    // SQLite keeps the number.
    let kept = if db.kind() == Kind::Sqlite { "12.5" } else { "12.50" };
    assert_eq!(created.session.fields.price, kept);
    assert_eq!(created.session.fields.since.as_deref(), Some("2026-11-28"));
    let mut read = sessions.authenticate(&created.token).await.unwrap().unwrap();
    assert_eq!(read, created.session);
    for same in ["12.5", "12.500", "012.50"] {
        let query = || sessions.query().filter(Priced::PRICE.eq(same));
        assert_eq!(query().fetch_one().await.unwrap(), read, "{same}");
        assert_eq!(query().filter(Priced::SINCE.is_in(["2026-11-28".to_owned()])).count().await.unwrap(), 1);
    }
    assert_eq!(sessions.query().filter(Priced::PRICE.gt("9")).count().await.unwrap(), 1);
    assert_eq!(sessions.query().filter(Priced::SINCE.lt("2026-11-28".to_owned())).count().await.unwrap(), 0);

    // More keys than a statement has placeholders for.
    let many = (1000..40_000).map(|number| format!("{number}.00")).chain(["12.5".to_owned()]);
    assert_eq!(sessions.query().filter(Priced::PRICE.is_in(many)).count().await.unwrap(), 1);
    let by_owner = sessions.query().has_many(Priced::PRICE, [kept.to_owned(), "7".to_owned()]).await.unwrap();
    assert_eq!(by_owner.keys().collect::<Vec<_>>(), [kept]);

    if db.kind() != Kind::Sqlite {
        read.fields.price = "0.125".into();
        sessions.update(&mut read).await.unwrap();
        assert_eq!(read.fields.price, "0.13", "what the row holds");
        let mut again = read.clone();
        sessions.reload(&mut again).await.unwrap();
        assert_eq!(again, read);
        for wrong in ["12abc", "1e20000"] {
            let error = sessions.create(priced(wrong, None)).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidField, "{error:?}");
        }
        let error = sessions.query().filter(Priced::PRICE.eq("12abc")).count().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidField, "{error:?}");
    }
    read.fields.since = None;
    sessions.update(&mut read).await.unwrap();
    assert_eq!(sessions.query().filter(Priced::SINCE.is_null()).fetch_one().await.unwrap(), read);
}

each_database! { text_in_a_column_of_another_type_is_read_and_compared_as_that_type }

/// Types that only PostgreSQL has.
mod only_on_postgres {
    use cloakroom::Database;
    use cloakroom_testing::run;
    use sqlx::encode::IsNull;
    use sqlx::error::BoxDynError;
    use sqlx::postgres::PgArgumentBuffer;
    use sqlx::sqlite::SqliteArgumentsBuffer;
    use sqlx::types::Json;
    use sqlx::{Decode, Encode, MySql, Postgres, Sqlite, Type};

    use super::*;

    /// Several texts: an array, where a database has them.
    #[derive(Clone, Debug, PartialEq)]
    struct Tags(Vec<String>);

    macro_rules! encoded_as {
        ($inner:ty, $database:ty, $buffer:ty) => {
            impl Type<$database> for Tags {
                fn type_info() -> <$database as sqlx::Database>::TypeInfo {
                    <$inner as Type<$database>>::type_info()
                }

                fn compatible(column: &<$database as sqlx::Database>::TypeInfo) -> bool {
                    <$inner as Type<$database>>::compatible(column)
                }
            }

            impl Encode<'_, $database> for Tags {
                fn encode_by_ref(&self, buffer: &mut $buffer) -> Result<IsNull, BoxDynError> {
                    <$inner as Encode<'_, $database>>::encode_by_ref(&self.0.clone().into(), buffer)
                }
            }

            impl<'r> Decode<'r, $database> for Tags {
                fn decode(value: <$database as sqlx::Database>::ValueRef<'r>) -> Result<Self, BoxDynError> {
                    let inner = <$inner as Decode<'r, $database>>::decode(value)?;
                    Ok(Self(inner.to_vec()))
                }
            }
        };
    }

    encoded_as!(Vec<String>, Postgres, PgArgumentBuffer);
    encoded_as!(Json<Vec<String>>, Sqlite, SqliteArgumentsBuffer);
    encoded_as!(Json<Vec<String>>, MySql, Vec<u8>);

    #[derive(Clone, Debug, PartialEq, SessionTable)]
    #[session(table = "accounts")]
    struct Account {
        #[session(sql_type = "citext", index)]
        email: String,
        #[session(sql_type = "varchar(10)[]")]
        tags: Tags,
        #[session(sql_type = "text[]")]
        groups: String,
        #[session(sql_type = "mood")]
        mood: Option<String>,
        #[session(sql_type = "nick")]
        nick: Option<String>,
        #[session(sql_type = "char(4)")]
        code: Option<String>,
        #[session(sql_type = "inet")]
        seen_from: Option<String>,
        #[session(sql_type = "interval")]
        every: Option<String>,
        #[session(sql_type = "money")]
        paid: Option<String>,
    }

    fn account(email: &str) -> Account {
        Account {
            email: email.into(),
            tags: Tags(vec!["a".into(), "b c".into()]),
            groups: "{staff}".into(),
            mood: Some("calm".into()),
            nick: Some("Al".into()),
            code: Some("ab  ".into()),
            seen_from: Some("10.0.0.1".into()),
            every: Some("01:30:00".into()),
            paid: Some("$12,345.67".into()),
        }
    }

    /// A database of its own: one has an extension once, whatever its schemas.
    async fn with_citext(db: &TestDatabase) -> Database {
        let name = db.unique_name();
        db.execute(&format!("CREATE DATABASE {name}")).await;
        let (server, _) = db.url().split_once('?').unwrap();
        let (server, _) = server.rsplit_once('/').unwrap();
        let database = Database::connect(&format!("{server}/{name}")).await.unwrap();
        let Database::Postgres(pool) = &database else { panic!("not PostgreSQL: {database:?}") };
        let types = "CREATE EXTENSION citext; CREATE TYPE mood AS ENUM ('calm', 'cross'); \
                     CREATE DOMAIN nick AS varchar(3) CHECK (VALUE <> 'bad')";
        sqlx::raw_sql(types).execute(pool).await.unwrap();
        database
    }

    async fn a_filter_matches_what_the_databases_own_comparison_matches_case(db: TestDatabase) {
        let database = with_citext(&db).await;
        let sessions = Sessions::<Account>::new(database.clone(), db.config().build().unwrap()).unwrap();
        sessions.migrate().await.unwrap();
        let mut tokens = Vec::new();
        for email in ["Alice@Example.com", "alice@example.com", "bob@example.com"] {
            let created = sessions.create(NewSession::new(account(email))).await.unwrap();
            assert_eq!(created.session.fields, account(email));
            let read = sessions.authenticate(&created.token).await.unwrap();
            assert_eq!(read, Some(created.session));
            tokens.push(created.token);
        }
        let count = async |filter| sessions.query().filter(filter).count().await.unwrap();
        assert_eq!(count(Account::EMAIL.eq("ALICE@EXAMPLE.COM")).await, 2);
        assert_eq!(count(Account::EMAIL.ne("ALICE@EXAMPLE.COM")).await, 1);
        assert_eq!(count(Account::EMAIL.is_in(["ALICE@EXAMPLE.COM", "BOB@EXAMPLE.COM"])).await, 3);
        let many =
            (0..40_000).map(|number| format!("{number}@example.com")).chain(["BOB@example.com".to_owned()]);
        assert_eq!(count(Account::EMAIL.is_in(many)).await, 1);
        assert_eq!(count(Account::TAGS.eq(account("x").tags)).await, 3);
        assert_eq!(count(Account::TAGS.is_in([Tags(vec!["a".to_owned()])])).await, 0);
        assert_eq!(count(Account::GROUPS.eq("{ staff }")).await, 3);
        assert_eq!(count(Account::MOOD.eq("calm".to_owned())).await, 3);
        assert_eq!(count(Account::MOOD.gt("calm".to_owned())).await, 0);
        assert_eq!(count(Account::NICK.eq("Al".to_owned())).await, 3);
        // Neither cut to what the domain holds, nor refused by its check.
        assert_eq!(count(Account::NICK.eq("Alxxx".to_owned())).await, 0);
        assert_eq!(count(Account::NICK.eq("bad".to_owned())).await, 0);
        assert_eq!(count(Account::CODE.eq("ab".to_owned())).await, 3);
        assert_eq!(count(Account::SEEN_FROM.eq("10.0.0.1/32".to_owned())).await, 3);
        assert_eq!(count(Account::EVERY.eq("90 minutes".to_owned())).await, 3);
        assert_eq!(count(Account::PAID.gt("12345".to_owned())).await, 3);

        for fields in [
            Account { nick: Some("long".into()), ..account("x") },
            Account { mood: Some("odd".into()), ..account("x") },
            Account { paid: Some("a lot".into()), ..account("x") },
        ] {
            let error = sessions.create(NewSession::new(fields)).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidField, "{error:?}");
        }

        // By the tool that knows of the types what the catalogue says.
        let table = DynamicFields::definition_from(&database, None, "accounts").await.unwrap().unwrap();
        let config = db.config().build().unwrap();
        let dynamic =
            Sessions::<DynamicFields>::with_definition(database.clone(), table.clone(), config).unwrap();
        let bob = DynamicFields::equals(&table, "email", &DynamicValue::Text("BOB@EXAMPLE.COM".into()));
        let session = dynamic.query().filter(bob.clone()).fetch_one().await.unwrap();
        assert_eq!(session.fields.get("tags"), Some(&DynamicValue::Text("{a,\"b c\"}".into())));
        assert_eq!(dynamic.query().filter(bob).expire_all().await.unwrap(), 1);
        assert_eq!(sessions.authenticate(&tokens[2]).await.unwrap(), None);

        // Signed out everywhere, however she writes her name.
        let everywhere = sessions.query().filter(Account::EMAIL.eq("alice@EXAMPLE.com"));
        assert_eq!(everywhere.expire_all().await.unwrap(), 2);
        for token in &tokens {
            assert_eq!(sessions.authenticate(token).await.unwrap(), None);
        }
        let Database::Postgres(pool) = &database else { unreachable!() };
        let name = pool.connect_options().get_database().unwrap().to_owned();
        database.close().await;
        db.execute(&format!("DROP DATABASE {name}")).await;
    }

    #[test]
    #[cfg_attr(not(feature = "servers"), ignore = "PostgreSQL: run `cargo xtask test`")]
    fn a_filter_matches_what_the_databases_own_comparison_matches() {
        run(Kind::Postgres, a_filter_matches_what_the_databases_own_comparison_matches_case);
    }

    /// A domain over a type whose values are sent in binary.
    #[derive(Clone, Debug, PartialEq, SessionTable)]
    #[session(table = "purchases")]
    struct Purchase {
        #[session(sql_type = "price")]
        paid: Option<String>,
    }

    /// The same column, named by what the domain is made of.
    #[derive(Clone, Debug, PartialEq, SessionTable)]
    #[session(table = "purchases")]
    struct PurchaseInMoney {
        #[session(sql_type = "money")]
        paid: Option<String>,
    }

    async fn text_is_not_taken_for_the_bytes_of_a_domain_that_is_made_of_another_type_case(db: TestDatabase) {
        db.execute("CREATE DOMAIN price AS money").await;
        let sessions = Sessions::<Purchase>::new(db.database(), db.config().build().unwrap()).unwrap();
        sessions.migrate().await.unwrap();
        let purchase = Purchase { paid: Some("12345.67".to_owned()) };
        let error = sessions.create(NewSession::new(purchase)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidField, "{error:?}");
        assert!(error.to_string().contains("paid") && error.to_string().contains("sql_type"), "{error}");
        assert_eq!(sessions.query().count().await.unwrap(), 0);
        // Null has one form for all types.
        let nothing = sessions.create(NewSession::new(Purchase { paid: None })).await.unwrap().session;
        assert!(sessions.delete(nothing).await.unwrap());

        let config = db.config().build().unwrap();
        let sessions = Sessions::<PurchaseInMoney>::new(db.database(), config).unwrap();
        sessions.migrate().await.unwrap();
        let purchase = PurchaseInMoney { paid: Some("12345.67".to_owned()) };
        let created = sessions.create(NewSession::new(purchase)).await.unwrap().session;
        assert_eq!(created.fields.paid.as_deref(), Some("$12,345.67"));
        let paid = PurchaseInMoney::PAID.eq("12345.67".to_owned());
        assert_eq!(sessions.query().filter(paid).fetch_one().await.unwrap(), created);
    }

    #[test]
    #[cfg_attr(not(feature = "servers"), ignore = "PostgreSQL: run `cargo xtask test`")]
    fn text_is_not_taken_for_the_bytes_of_a_domain_that_is_made_of_another_type() {
        run(Kind::Postgres, text_is_not_taken_for_the_bytes_of_a_domain_that_is_made_of_another_type_case);
    }
}
