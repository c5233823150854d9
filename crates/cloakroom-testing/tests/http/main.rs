//! The layer, its extractors and its cookies, over real HTTP on every database, in axum and in actix-web.
//!
//! A case is one text, which takes the framework. Its handlers are of both at once, since the extractors are. What only one
//! framework can be asked is made by `each_database!`, and says why.

/// Makes a test of each case: for axum on each database, and for actix-web on SQLite: `cookies::on_actix::sqlite::…`.
///
/// What asks the database is the same code for both frameworks, so the servers would tell nothing new of most cases, and their
/// time doubles. [`each_framework_on_each_database!`] is for those in which a framework's runtime meets a server.
macro_rules! each_framework {
    ($($case:ident),* $(,)?) => {
        mod on_axum {
            on_each_database!(Axum: $($case),*);
        }

        mod on_actix {
            on_framework!(Actix: $($case),*);

            mod sqlite {
                cloakroom_testing::each_case!(Sqlite, Direct, super, $($case),*);
            }
        }
    };
}

/// Makes a test of each case for each framework and each database.
macro_rules! each_framework_on_each_database {
    ($($case:ident),* $(,)?) => {
        mod on_axum {
            on_each_database!(Axum: $($case),*);
        }

        mod on_actix {
            on_each_database!(Actix: $($case),*);
        }
    };
}

/// Makes a test of each case for one framework and each database.
macro_rules! on_each_database {
    ($framework:ident: $($case:ident),*) => {
        on_framework!($framework: $($case),*);
        cloakroom_testing::each_database! { $($case),* }
    };
}

/// Makes a case of the kind that takes a database alone of each that takes a framework, too.
macro_rules! on_framework {
    ($framework:ident: $($case:ident),*) => {
        $(async fn $case(db: cloakroom_testing::TestDatabase) {
            super::$case(db, crate::harness::Framework::$framework).await;
        })*
    };
}

mod actix_alone;
mod ahead;
mod capture;
mod composition;
mod cookies;
mod credentials;
mod curl;
mod dbsc;
mod example;
mod forged;
mod fresh;
mod guards;
mod harness;
mod lifetime;
mod load;
mod localhost;
mod manager;
mod moved;
mod once;
mod openapi;
mod outage;
mod passing;
mod proxy;
mod refused;
mod rejections;
mod secrets;
mod seen;
mod several;
mod site_data;
mod trouble;
mod undecodable;
mod visitors;
