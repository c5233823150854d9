//! Random operations and clock steps on a database and on a naive model of it, compared at every step.
//!
//! A failure prints the seed and the operations so far. `CLOAKROOM_MODEL_SEED=… cargo test --test model CASE`
//! runs that one sequence again.

mod naive;
mod operation;
mod random;
mod run;

use std::time::Duration;

use cloakroom::{ConfigBuilder, Hashing};
use cloakroom_testing::{TestDatabase, each_mode, listening};

use naive::Settings;

const MINUTE: Duration = Duration::from_mins(1);
const DAY: Duration = Duration::from_hours(24);

const DEFAULTS: Settings = Settings {
    ttl: Some(Duration::from_hours(7 * 24)),
    extend_after: Some(DAY),
    auto_extend: true,
    max_lifetime: None,
    has_older_scheme: false,
    limit: None,
};

fn as_it_is(config: ConfigBuilder) -> ConfigBuilder {
    config
}

async fn every_answer_is_the_models(db: TestDatabase) {
    run::sequences(&db, DEFAULTS, as_it_is).await;
}

async fn every_answer_is_the_models_without_a_time_to_live(db: TestDatabase) {
    run::sequences(&db, Settings { ttl: None, ..DEFAULTS }, as_it_is).await;
}

async fn every_answer_is_the_models_with_an_absolute_lifetime(db: TestDatabase) {
    let settings = Settings {
        ttl: Some(60 * MINUTE),
        extend_after: Some(7 * MINUTE),
        max_lifetime: Some(180 * MINUTE),
        ..DEFAULTS
    };
    run::sequences(&db, settings, as_it_is).await;
}

async fn every_answer_is_the_models_with_nothing_but_an_absolute_lifetime(db: TestDatabase) {
    let settings = Settings { ttl: None, max_lifetime: Some(DAY), ..DEFAULTS };
    run::sequences(&db, settings, as_it_is).await;
}

async fn every_answer_is_the_models_without_extension(db: TestDatabase) {
    run::sequences(&db, Settings { extend_after: None, ..DEFAULTS }, as_it_is).await;
}

async fn every_answer_is_the_models_without_extension_on_reading(db: TestDatabase) {
    run::sequences(&db, Settings { auto_extend: false, ..DEFAULTS }, as_it_is).await;
}

async fn every_answer_is_the_models_when_every_gain_extends_and_tokens_are_plain(db: TestDatabase) {
    let settings = Settings { ttl: Some(10 * MINUTE), extend_after: Some(Duration::ZERO), ..DEFAULTS };
    run::sequences(&db, settings, |config| config.hashing(Hashing::DangerousPlaintext).token_length(22))
        .await;
}

async fn every_answer_is_the_models_in_spans_of_microseconds(db: TestDatabase) {
    let settings = Settings {
        ttl: Some(Duration::from_micros(7)),
        extend_after: Some(Duration::from_micros(2)),
        max_lifetime: Some(Duration::from_micros(20)),
        ..DEFAULTS
    };
    run::sequences(&db, settings, |config| config.hashing(Hashing::Sha3_512).secret_salt("a salt")).await;
}

async fn every_answer_is_the_models_while_a_key_is_replaced(db: TestDatabase) {
    let settings = Settings { has_older_scheme: true, ..DEFAULTS };
    run::sequences(&db, settings, as_it_is).await;
}

async fn every_answer_is_the_models_under_a_limit(db: TestDatabase) {
    run::sequences(&db, Settings { limit: Some(2), ..DEFAULTS }, as_it_is).await;
}

async fn every_answer_is_the_models_under_a_limit_with_an_absolute_lifetime(db: TestDatabase) {
    let settings = Settings {
        ttl: Some(60 * MINUTE),
        extend_after: Some(7 * MINUTE),
        max_lifetime: Some(180 * MINUTE),
        limit: Some(1),
        ..DEFAULTS
    };
    run::sequences(&db, settings, as_it_is).await;
}

each_mode! {
    every_answer_is_the_models,
    every_answer_is_the_models_under_a_limit,
    every_answer_is_the_models_under_a_limit_with_an_absolute_lifetime,
    every_answer_is_the_models_while_a_key_is_replaced,
    every_answer_is_the_models_without_a_time_to_live,
    every_answer_is_the_models_with_an_absolute_lifetime,
    every_answer_is_the_models_with_nothing_but_an_absolute_lifetime,
    every_answer_is_the_models_without_extension,
    every_answer_is_the_models_without_extension_on_reading,
    every_answer_is_the_models_when_every_gain_extends_and_tokens_are_plain,
    every_answer_is_the_models_in_spans_of_microseconds,
}

listening! {
every_answer_is_the_models,
every_answer_is_the_models_while_a_key_is_replaced,
every_answer_is_the_models_with_an_absolute_lifetime }
