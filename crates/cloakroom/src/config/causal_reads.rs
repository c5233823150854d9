/// Whether statements on a cluster of servers wait until their server has what the others have committed.
///
/// See [`ConfigBuilder::causal_reads`](crate::ConfigBuilder::causal_reads).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CausalReads {
    /// They wait if the server is a node of a Galera cluster. The server is asked whether it is.
    #[default]
    Auto,
    /// They never wait, and the server is not asked. A token may then be accepted by one node after another node has
    /// ended its session, and a new token may be unknown there, for as long as the node lags behind.
    Off,
}
