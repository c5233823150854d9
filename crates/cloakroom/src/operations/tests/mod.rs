//! How large the futures of operations are.

use crate::operations::authenticate::Use;
use crate::table::{DynamicFields, TableDefinition};
use crate::{Config, Sessions};

/// Each call has both on the heap. An allocator such as glibc's is slow above about a thousand bytes, and to copy them there
/// takes time too.
#[tokio::test]
async fn the_futures_of_a_lookup_are_small() {
    let pool = sqlx::SqlitePool::connect_lazy("sqlite::memory:").unwrap();
    let table = TableDefinition::new("sessions");
    let sessions = Sessions::<DynamicFields>::with_definition(pool, table, Config::default()).unwrap();
    let mut operations = sessions.on_pool();
    let digests = operations.digests("a".repeat(43)).unwrap();
    let call = size_of_val(&operations.authenticate_hashed(&digests, Use::Extends));
    let lookup = size_of_val(&operations.authenticate_digests(&digests, Use::Extends));
    assert!(call <= 600 && lookup <= 800, "{call} and {lookup} bytes");
}
