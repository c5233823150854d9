use crate::{Age, Rules, Setup};

/// A node's listener, its connection, and the notifications under way on it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Listener {
    /// Whether the server knows this connection as listening. The node may not have noticed its loss.
    pub connected: bool,
    /// Whether there was a connection before this one. Recorded with a single node only: to show again that it is
    /// possible would cost too many states.
    pub is_second: bool,
    /// The state that the node believes the listener is in.
    pub phase: Phase,
    /// Committed notifications on their way, in the order of the commits.
    pub inbox: Vec<Message>,
    /// When the heartbeat that is under way was sent.
    pub sent: Option<Age>,
    /// When the last heartbeat that came back was sent: everything that had committed by then has been heard.
    pub heard: Option<Age>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Not listening.
    Away,
    /// About to send LISTEN. Only if the floor is raised too early.
    Raised,
    /// LISTEN was sent, and has been executed.
    Subscribed,
    /// LISTEN has returned, and everything from before it is void.
    Listening,
}

/// A notification to this node. Other nodes' heartbeats carry their names and are ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Message {
    Revoked,
    Heartbeat,
}

impl Listener {
    pub(crate) const NEW: Self = Self {
        connected: false,
        is_second: false,
        phase: Phase::Away,
        inbox: Vec::new(),
        sent: None,
        heard: None,
    };

    pub(crate) fn notify(&mut self, message: Message) {
        if self.connected {
            self.inbox.push(message);
        }
    }

    /// Undelivered messages are lost, in both directions.
    pub(crate) fn break_off(&mut self) {
        self.connected = false;
        self.inbox.clear();
    }

    pub(crate) fn hear_heartbeat(&mut self, rules: &Rules) {
        let sent = self.sent.take();
        self.heard = if rules.heartbeat_from_sending { sent } else { Some(Age::NOW) };
    }

    /// The node has learned that its connection is lost.
    pub(crate) fn leave(&mut self, setup: &Setup) {
        self.phase = Phase::Away;
        self.is_second = setup.is_single_node();
        self.sent = None;
        if setup.rules.silent_when_away {
            self.heard = None;
        }
    }

    pub(crate) fn ages(&mut self) -> impl Iterator<Item = &mut Age> {
        self.sent.iter_mut().chain(&mut self.heard)
    }
}
