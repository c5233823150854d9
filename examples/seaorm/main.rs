//! Sessions beside the entities of SeaORM 2: `cargo run -p cloakroom-example-seaorm`.
//!
//! Both work on one pool. SeaORM hands out no connection of its own transactions (2.0), so a transaction that is to hold
//! both is begun here, and runs what SeaORM has built.

#![expect(unreachable_pub, reason = "SeaORM's derive asks for `pub`")]

use cloakroom::sqlx::{self, AssertSqlSafe};
use cloakroom::{Config, NewSession, SessionTable, Sessions, sea_query::SqliteQueryBuilder};
use sea_orm::entity::prelude::*;
use sea_orm::{ActiveValue::Set, ConnectOptions, Database, QueryTrait, Schema};
use sea_query_sqlx::SqlxBinder;

#[derive(Clone, SessionTable)]
#[session(table = "user_sessions")]
struct UserSession {
    #[session(index, owner)]
    user_id: i64,
    device: String,
}

mod user {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "users")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i64,
        #[sea_orm(unique)]
        pub name: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {
        #[sea_orm(has_many = "super::session::Entity")]
        Sessions,
    }

    impl Related<super::session::Entity> for Entity {
        fn to() -> RelationDef {
            Relation::Sessions.def()
        }
    }

    impl ActiveModelBehavior for ActiveModel {}
}

/// The table of sessions as SeaORM reads it. Write by [`Sessions`] alone: it knows digests, caches and the audit log.
mod session {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "user_sessions")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub user_id: i64,
        pub device: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {
        #[sea_orm(
            belongs_to = "super::user::Entity",
            from = "Column::UserId",
            to = "super::user::Column::Id"
        )]
        User,
    }

    impl Related<super::user::Entity> for Entity {
        fn to() -> RelationDef {
            Relation::User.def()
        }
    }

    impl ActiveModelBehavior for ActiveModel {}
}

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// A user and their first session are made together, or neither is.
async fn sign_up(sessions: &Sessions<UserSession>, name: &str, device: &str) -> Outcome<i64> {
    let new = user::ActiveModel { name: Set(name.to_owned()), ..Default::default() };
    let mut insert = user::Entity::insert(new).into_query();
    let (sql, values) = insert.returning_col(user::Column::Id).build_sqlx(SqliteQueryBuilder);
    let mut transaction = sessions.begin().await?;
    let user_id = sqlx::query_scalar_with(AssertSqlSafe(sql), values).fetch_one(transaction.sqlite()).await?;
    let new = NewSession::new(UserSession { user_id, device: device.to_owned() });
    sessions.within(&mut transaction).create(new).await?;
    transaction.commit().await?;
    Ok(user_id)
}

#[tokio::main]
async fn main() -> Outcome<()> {
    let mut options = ConnectOptions::new("sqlite::memory:");
    options.max_connections(1); // The database lives as long as a connection to it.
    let database = Database::connect(options).await?;
    database
        .execute(&Schema::new(database.get_database_backend()).create_table_from_entity(user::Entity))
        .await?;

    // Cloakroom works on SeaORM's pool.
    let sessions =
        Sessions::<UserSession>::new(database.get_sqlite_connection_pool().clone(), Config::default())?;
    sessions.migrate().await?;

    let robin = sign_up(&sessions, "robin", "a phone").await?;
    sign_up(&sessions, "kim", "a laptop").await?;
    sessions.create(NewSession::new(UserSession { user_id: robin, device: "a laptop".to_owned() })).await?;

    // A name that is taken: there is no session without its user.
    assert!(sign_up(&sessions, "robin", "a watch").await.is_err());

    // SeaORM joins users with their sessions.
    for (user, sessions) in user::Entity::find().find_with_related(session::Entity).all(&database).await? {
        let devices: Vec<_> = sessions.into_iter().map(|session| session.device).collect();
        println!("{}: {}", user.name, devices.join(", "));
    }

    // And from a session to its user, by the same pool.
    let of_robin = sessions.query().owner(robin);
    println!("{} sessions of robin end", of_robin.expire_all().await?);
    Ok(())
}
