//! What a sequence is made of, drawn at random.

use std::time::Duration as Span;

use cloakroom::Status;
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

use crate::naive::{Change, Expiry, Naive, Settings, TokenChoice};
use crate::random::Random;

/// Handles and tokens are named by their place among those that the sequence has.
#[derive(Clone, Debug)]
pub(crate) enum Operation {
    Step(Duration),
    Create {
        user_id: String,
        data: Option<Value>,
        expiry: Expiry,
        /// Whether a process makes it that stores it under the older scheme.
        is_older: bool,
    },
    Authenticate(TokenChoice),
    FetchOptional(Selection),
    FetchOne(Selection),
    FetchAll(Selection),
    Stream(Selection),
    Count(Selection),
    Exists(Selection),
    ExpireAll(Selection),
    DeleteAll(Selection),
    DeleteExpired,
    /// A second copy of what one caller read, soon out of date.
    Copy {
        handle: usize,
    },
    Reload {
        handle: usize,
    },
    Update {
        handle: usize,
        change: Change,
    },
    UpdateWith {
        handle: usize,
        change: Change,
    },
    Extend {
        handle: usize,
    },
    Expire {
        handle: usize,
    },
    Rotate {
        handle: usize,
    },
    Delete {
        handle: usize,
    },
}

#[derive(Clone, Debug)]
pub(crate) struct Selection {
    pub id_of: Option<usize>,
    pub token: Option<TokenChoice>,
    pub user_id: Option<String>,
    pub data: Option<Value>,
    pub status: Status,
    pub oldest_first: bool,
    pub after: Option<usize>,
    pub limit: Option<u64>,
}

impl Operation {
    pub(crate) fn draw(random: &mut Random, model: &Naive, handles: usize, tokens: usize) -> Self {
        let draw = random.below(if handles == 0 { 50 } else { 100 });
        let handle = if handles == 0 { 0 } else { random.below(handles) };
        match draw {
            0..=13 => Self::Step(step(random, &model.settings)),
            14..=23 => Self::Create {
                user_id: user_id(random),
                data: (!random.once_in(3)).then(|| data(random)),
                expiry: expiry(random, model),
                is_older: model.settings.has_older_scheme && random.once_in(2),
            },
            24..=33 => Self::Authenticate(token(random, tokens)),
            34..=35 => Self::FetchOptional(selection(random, handles, tokens)),
            36..=37 => Self::FetchOne(selection(random, handles, tokens)),
            38..=40 => Self::FetchAll(selection(random, handles, tokens)),
            41 => Self::Stream(selection(random, handles, tokens)),
            42..=43 => Self::Count(selection(random, handles, tokens)),
            44 => Self::Exists(selection(random, handles, tokens)),
            45..=46 => Self::ExpireAll(selection(random, handles, tokens)),
            47 => Self::DeleteAll(selection(random, handles, tokens)),
            48..=49 => Self::DeleteExpired,
            50..=53 => Self::Copy { handle },
            54..=57 => Self::Reload { handle },
            58..=68 => Self::Update { handle, change: change(random, model) },
            69..=75 => Self::UpdateWith { handle, change: change(random, model) },
            76..=83 => Self::Extend { handle },
            84..=89 => Self::Expire { handle },
            90..=95 => Self::Rotate { handle },
            _ => Self::Delete { handle },
        }
    }
}

/// Nothing, parts of a microsecond, and what lies about the settings' own spans: forwards, and sometimes back.
fn step(random: &mut Random, settings: &Settings) -> Duration {
    let ttl = settings.ttl.unwrap_or(Span::from_hours(24));
    let gain = settings.extend_after.unwrap_or(ttl / 7);
    let lifetime = settings.max_lifetime.unwrap_or(3 * ttl);
    let nanos = 1 + random.next() % 999;
    let span = random.pick(&[
        Span::ZERO,
        Span::from_nanos(nanos),
        Span::from_micros(1),
        gain,
        gain + Span::from_micros(1),
        ttl / 5,
        ttl / 3,
        ttl / 3,
        ttl,
        lifetime / 2,
    ]);
    let span = Duration::try_from(span).unwrap();
    if random.once_in(5) { -span } else { span }
}

fn user_id(random: &mut Random) -> String {
    random
        .pick(&["ann", "ann", "bob", "Ann", "ann ", "ünïcode", "'; drop table sessions; --", " "])
        .to_owned()
}

fn data(random: &mut Random) -> Value {
    let number = random.next() >> 1;
    random.pick(&[
        json!({}),
        json!({"device": "a phone"}),
        json!({"count": number, "nested": {"list": [1, -2, null, true, "\u{1F9E5}"]}}),
        json!({"b": 1, "a": {"d": "\"\\\n", "c": []}}),
        json!([1, 2, 3]),
        json!(null),
    ])
}

/// Before now, now, and after.
fn instant(random: &mut Random, model: &Naive) -> OffsetDateTime {
    model.now + step(random, &model.settings)
}

fn expiry(random: &mut Random, model: &Naive) -> Expiry {
    match random.below(10) {
        0..=3 => Expiry::Default,
        4..=5 => Expiry::At(instant(random, model)),
        6 => Expiry::In(step(random, &model.settings).unsigned_abs()),
        7..=8 => Expiry::Sliding(step(random, &model.settings).unsigned_abs()),
        _ => Expiry::Never,
    }
}

fn new_expiry(random: &mut Random, model: &Naive) -> Expiry {
    if random.once_in(4) { Expiry::Never } else { Expiry::At(instant(random, model)) }
}

fn change(random: &mut Random, model: &Naive) -> Change {
    let mut change = Change::default();
    match random.below(6) {
        0 => change.user_id = Some(user_id(random)),
        1 => change.data = Some(data(random)),
        2..=3 => change.expiry = Some(new_expiry(random, model)),
        4 => {
            change.data = Some(data(random));
            change.expiry = Some(Expiry::At(instant(random, model)));
        }
        _ => {}
    }
    change
}

fn token(random: &mut Random, tokens: usize) -> TokenChoice {
    const UNKNOWN: [&[u8]; 4] = [b"", b"never-given-out-to-anyone", b"\0\xff\xfe", b"' or 1 = 1 --"];
    if tokens == 0 || random.once_in(12) {
        TokenChoice::Unknown(random.pick(&UNKNOWN))
    } else {
        TokenChoice::Given(random.below(tokens))
    }
}

fn selection(random: &mut Random, handles: usize, tokens: usize) -> Selection {
    let handle = (handles > 0).then(|| random.below(Ord::max(handles, 1)));
    let by = random.below(8);
    Selection {
        id_of: handle.filter(|_| by == 0),
        token: (by == 1).then(|| token(random, tokens)),
        user_id: (by == 2 || by == 3).then(|| user_id(random)),
        data: (by == 4).then(|| data(random)),
        status: random.pick(&[Status::Valid, Status::Valid, Status::Expired, Status::All]),
        oldest_first: random.once_in(2),
        after: handle.filter(|_| random.once_in(4)),
        limit: random.once_in(3).then(|| u64::try_from(random.below(4)).unwrap()),
    }
}
