/// The rules of an exchange. Each can be taken out, to see what it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a rule that is in or out")]
pub struct Rules {
    /// The session gets its new token only if its row is as it was read. Out: whatever the row is by now.
    pub guarded: bool,
    /// The session's new token and the record of the old one are written in one transaction. Out: one after the other.
    pub one_transaction: bool,
    /// The record holds the successor, sealed, so that it can be given out again. Out: it does not.
    pub sealed: bool,
    /// The honest client does not present its new token while a call with the old one may still be under way. Out: it
    /// does.
    pub client_waits: bool,
    /// A call whose write finds the row changed looks again. Out: its token counts as unknown.
    pub loser_looks_again: bool,
    /// Only the session's current token is given out again. Out: what the record holds.
    pub current_only: bool,
    /// The successor is given out again until the grace ends. Out: for as long as it is current.
    pub grace_ends: bool,
    /// Whether the grace is over is judged by when the call began. Out: by when it looks.
    pub judged_by_its_beginning: bool,
    /// A token that comes again otherwise ends the session. Out: it counts as unknown.
    pub reuse_ends: bool,
    /// … whatever has been written to the row meanwhile. Out: only if the row is as it was read.
    pub ends_whatever_was_written: bool,
    /// Nothing is given out again for a session that has ended. Out: only the record is looked at.
    pub only_while_valid: bool,
    /// The record of an old token stays for as long as its session. Out: the pruner deletes it after its grace.
    pub ancestors_stay: bool,
    /// The pruner wipes a sealed successor after its grace. Out: it stays.
    pub pruner_wipes: bool,
    /// … once every call that began within the grace is over. Out: as soon as the grace is.
    pub pruner_waits: bool,
    /// An exchange wipes the seal that its own token was under. Out: it stays until the pruner comes.
    pub exchange_wipes: bool,
    /// Reuse wipes what is sealed. Out: it stays until the pruner comes.
    pub reuse_wipes: bool,
}

impl Rules {
    pub const ALL: Self = Self {
        guarded: true,
        one_transaction: true,
        sealed: true,
        client_waits: true,
        loser_looks_again: true,
        current_only: true,
        grace_ends: true,
        judged_by_its_beginning: true,
        reuse_ends: true,
        ends_whatever_was_written: true,
        only_while_valid: true,
        ancestors_stay: true,
        pruner_wipes: true,
        pruner_waits: true,
        exchange_wipes: true,
        reuse_wipes: true,
    };
}
