//! A cluster of three nodes, each of which takes reads and writes.

/// Makes a test of each case on the one cluster that all of them share, one after another.
macro_rules! on_galera {
    ($($case:ident),* $(,)?) => {
        mod mariadb {
            $(
                #[test]
                #[cfg_attr(not(feature = "servers"), ignore = "a server's: run `cargo xtask test`")]
                fn $case() {
                    crate::galera::nodes::run(async |cluster: &crate::galera::nodes::Cluster| {
                        super::$case(cluster).await;
                    });
                }
            )*
        }
    };
}

mod causal;
mod limits;
mod migrating;
pub(crate) mod nodes;
mod parted;
mod savepoints;
