/// The rules of the protocol. Each can be taken out, to see what it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a rule that is in or out")]
pub struct Rules {
    /// An answer's age counts from before its lookup was sent. Out: from when it was received.
    pub age_from_asking: bool,
    /// Ages, and the lease, are measured by the monotonic clock. Out: by the wall clock alone.
    pub monotonic_clock: bool,
    /// Answers' ages are measured by the wall clock too. Out: by the monotonic clock alone.
    pub wall_clock: bool,
    /// … and so is the lease. Out: by the monotonic clock alone.
    pub lease_by_wall_clock: bool,
    /// A hit compares the expiry in the answer with the wall clock. Out: the cache trusts the database's answer.
    pub expiry: bool,
    /// A session that a prune through this node may delete is not accepted, even if the wall clock is set back
    /// afterwards. Out: only by the clock.
    pub pruned_mark: bool,
    /// … from before the prune is sent. Out: once it has returned.
    pub mark_before_pruning: bool,
    /// … for any answer. Out: for answers that were asked for before.
    pub mark_for_all_answers: bool,
    /// … by the same clock reading that the prune deletes by. Out: the clock is read again for the mark.
    pub mark_from_one_reading: bool,
    /// An answer counts as of the revocations that were known before its lookup was sent. Out: when it
    /// was received.
    pub versions_from_asking: bool,
    /// A revocation voids what is cached before its caller is answered. Out: afterwards.
    pub void_before_reply: bool,
    /// Nothing is answered from before a revocation is sent until its outcome is known. Out: the cache answers on until
    /// the revocation has returned.
    pub silent_while_open: bool,
    /// A revocation that found nothing to change voids all the same. Out: only one that changed the row.
    pub void_even_if_unchanged: bool,
    /// An operation that may still commit puts answers into quarantine for `max_staleness`. Out: it only voids.
    pub quarantine: bool,
    /// Nothing is answered once the lease has run out.
    pub lease: bool,
    /// A hit looks at the lease first and at the versions last. Out: the other way round.
    pub lease_before_versions: bool,
    /// A heartbeat proves what was true when it was sent. Out: when it came back.
    pub heartbeat_from_sending: bool,
    /// A returned heartbeat is matched with its own sending. Out: with the last one that was sent.
    pub heartbeats_told_apart: bool,
    /// A heartbeat is a notification. Out: a round trip, which may overtake notifications.
    pub heartbeat_through_queue: bool,
    /// Listening again voids everything before. Out: cached answers are still used, as if a driver reconnects by itself
    /// and does not say so.
    pub floor: bool,
    /// … once LISTEN has returned. Out: before it is sent.
    pub floor_after_listen: bool,
    /// The announcement is part of the revoking statement. Out: another statement, which may get lost.
    pub announce_in_transaction: bool,
    /// Nothing is answered between learning that the connection is lost and listening again.
    pub silent_when_away: bool,
    /// Nothing is answered before a heartbeat has come back. Out: LISTEN counts as a heartbeat.
    pub heartbeat_after_listen: bool,
}

impl Rules {
    /// The protocol as it is.
    pub const ALL: Self = Self {
        age_from_asking: true,
        monotonic_clock: true,
        wall_clock: true,
        lease_by_wall_clock: true,
        expiry: true,
        pruned_mark: true,
        mark_before_pruning: true,
        mark_for_all_answers: true,
        mark_from_one_reading: true,
        versions_from_asking: true,
        void_before_reply: true,
        silent_while_open: true,
        void_even_if_unchanged: true,
        quarantine: true,
        lease: true,
        lease_before_versions: true,
        heartbeat_from_sending: true,
        heartbeats_told_apart: true,
        heartbeat_through_queue: true,
        floor: true,
        floor_after_listen: true,
        announce_in_transaction: true,
        silent_when_away: true,
        heartbeat_after_listen: true,
    };
}
