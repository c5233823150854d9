// API keys: prefix, scopes, last use, a cap, and a replacement that leaves time. `cargo run -p cloakroom --example api_keys`.

use std::time::Duration;

use cloakroom::{Config, Database, NewSession, PerOwner, Scope, Scopes, SessionTable, Sessions, TokenFormat};
use time::OffsetDateTime;

#[derive(Clone, Copy, Debug, Scope)]
enum Permission {
    Read,
    Write,
}

#[derive(Clone, SessionTable)]
#[session(table = "api_keys", rotation_grace)]
struct ApiKey {
    #[session(index, owner)]
    user_id: i64,
    #[session(hint)]
    hint: String,
    #[session(scopes)]
    scopes: Scopes<Permission>,
    #[session(last_seen)]
    last_used_at: Option<OffsetDateTime>,
}

fn key(scopes: Scopes<Permission>) -> NewSession<ApiKey> {
    let fields = ApiKey { user_id: 7, hint: String::new(), scopes, last_used_at: None };
    NewSession::new(fields).never_expires()
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let format = TokenFormat::prefixed("acme_live")?;
    let config = Config::builder().token_format(format).record_seen(Duration::from_mins(1)).build()?;
    let keys = Sessions::<ApiKey>::new(Database::connect("sqlite::memory:").await?, config)?;
    let keys = keys.with_limit(PerOwner::at_most(2).refuse())?;
    keys.migrate().await?;

    let maker = Scopes::from_iter([Permission::Read]);
    // No key has more than its maker.
    let scopes = Scopes::from_iter([Permission::Read, Permission::Write]).narrowed_to(&maker);
    let mut created = keys.create(key(scopes)).await?;
    println!(
        "made {}, may write: {}",
        created.session.fields.hint,
        created.session.has_scope(Permission::Write)
    );
    keys.create(key(maker.clone())).await?;
    println!("a third one: {}", keys.create(key(maker)).await.err().ok_or("two are enough")?);

    let new = keys.rotate_with_grace(&mut created.session, Duration::from_hours(24)).await?;
    let by_the_old = keys.authenticate(&created.token).await?.ok_or("still good")?;
    println!("the old key is good for a day: {}", by_the_old.old_token_until().is_some());
    println!("the new key is its session's: {}", keys.authenticate(&new).await?.is_some());
    println!("last used: {}", keys.last_seen(&by_the_old).is_some());
    keys.close().await?;
    Ok(())
}
