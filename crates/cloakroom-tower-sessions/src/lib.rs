//! A store for [tower-sessions](https://docs.rs/tower-sessions), and with it for
//! [axum-login](https://docs.rs/axum-login), in which the database holds digests, sessions are listed by their users, and
//! ended at once.
//!
//! An application keeps its handlers, its layer and its log-in, and changes the store:
//!
//! ```
//! use cloakroom::{Config, Database, SessionTable, Sessions};
//! use cloakroom_tower_sessions::{CloakroomStore, axum_login_user};
//!
//! #[derive(Clone, Default, SessionTable)]
//! struct WebSession {
//!     #[session(index, owner)]
//!     user_id: Option<String>,
//! }
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let database = Database::connect("sqlite::memory:").await?;
//! let sessions = Sessions::<WebSession>::new(database, Config::default())?;
//! sessions.migrate().await?;
//! // The columns follow from what the application keeps in a session.
//! let store = CloakroomStore::new(sessions.clone(), |session: &mut WebSession, data| {
//!     session.user_id = axum_login_user(data);
//! });
//! let layer = tower_sessions::SessionManagerLayer::new(store);
//!
//! // Sign a user out on every device, at once.
//! sessions.query().owner("1234").expire_all().await?;
//! # let _ = layer;
//! # Ok(())
//! # }
//! ```
//!
//! # Which version
//!
//! The feature `v0_15`, on by default, is for tower-sessions 0.15. axum-login 0.18 is made for tower-sessions 0.14, whose
//! traits are other traits: turn on `v0_14` for it.
//!
//! # What the interface allows, and what not
//!
//! - **Ended is ended.** Saving a session that was ended or deleted meanwhile does nothing. It is not made anew.
//! - **Whole columns, the last save wins.** tower-sessions hands over all of a session's data at once, and does not say
//!   what it was when the request began. Of two requests that change one session at the same time, the one that saves last
//!   decides on all of its data, as with every store of tower-sessions'. Columns that the closure does not set stay as
//!   they are. `cloakroom-axum` has no such limit.
//! - **The expiry is tower-sessions'.** It is written when a session is saved, and tower-sessions saves a session that was
//!   changed. A session that is only read is not extended, unless the layer has `with_always_save(true)`, which writes at
//!   each request. Cloakroom extends nothing here.
//! - **The token is tower-sessions' id**: 128 random bits. The row's own id is another, and no secret.
//! - **`cycle_id` is a new row**, since tower-sessions deletes the old session and creates another.
//! - A database that fails is an error, and never a session that is absent.
//!
//! Expired rows are deleted by [`Pruner`](cloakroom::Pruner), or by tower-sessions' own `continuously_delete_expired`.

mod store;

pub use store::{CloakroomStore, axum_login_user};
