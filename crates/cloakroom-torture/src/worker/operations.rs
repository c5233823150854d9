//! The library's operations, on the pool or in a transaction.

use cloakroom::{NewSession, Session, Sessions, Token};

use super::{Place, Stop, USERS, Worker, done};
use crate::journal::{Action, Digest, Outcome, Seen};
use crate::known::{Change, Held, Living};
use crate::pools::Coat;

/// Runs `$call` on the handle or on the operations within the transaction, which have the same methods. The future is
/// on the heap, because some of them are large.
macro_rules! at {
    ($place:expr, $sessions:expr, |$target:ident| $call:expr) => {
        Box::pin(async {
            match $place {
                Place::Pool => {
                    let $target = &$sessions;
                    $call.await
                }
                Place::Within(open, _) => {
                    #[allow(unused_mut, reason = "queries take the operations mutably")]
                    let mut $target = open.within(&$sessions);
                    $call.await
                }
            }
        })
    };
}

impl Place<'_, '_> {
    fn within(&self) -> Option<u64> {
        match self {
            Self::Pool => None,
            Self::Within(_, transaction) => Some(*transaction),
        }
    }
}

impl Worker {
    /// One operation of any kind.
    pub(super) async fn operation(&mut self, place: &mut Place<'_, '_>) -> Result<(), Stop> {
        match self.random.u8(0..100) {
            0..22 => self.create(place).await,
            22..64 => self.authenticate(place).await,
            64..71 => self.expire(place).await,
            71..76 => self.delete(place).await,
            76..84 => self.rotate(place).await,
            84..92 => self.update(place).await,
            92..97 => self.extend(place).await,
            97..99 => self.expire_all(place).await,
            _ => self.delete_all(place).await,
        }
    }

    pub(super) async fn create(&mut self, place: &mut Place<'_, '_>) -> Result<(), Stop> {
        let (label, number) = (self.shared.signed_number(), self.shared.number());
        let user = self.random.u32(0..USERS / 2) * 2 + u32::from(label % 2 != 0);
        let coat = Coat { user_id: name(user), label, mark: label };
        let mut new = NewSession::new(coat);
        // A session with a token that is known beforehand can be looked up even if its caller was dropped.
        let imported = self.random.bool().then(|| Token::generate(40)).and_then(Result::ok);
        if let Some(token) = &imported {
            new = new.import_token(token.clone());
        }
        if self.random.u8(0..8) == 0 {
            let note = "x".repeat(self.random.usize(0..6000));
            new = new.data(cloakroom::JsonValue::from_iter([("note", note)]));
        }
        let (action, within) = (Action::Create { label, user, token: number }, place.within());
        self.expected = imported.as_ref().map(|token| Digest::of(token.expose()));
        let sessions = self.table_of(label);
        let call = at!(place, sessions, |target| target.create(new));
        let created = self
            .perform(action, within, call, |created| {
                let digest = Some(Digest::of(created.token.expose()));
                (Outcome::Yes, Seen { digest, ..seen(&created.session) })
            })
            .await;
        match created {
            Ok(created) => {
                let held = Held { label, number, token: created.token };
                self.changes.push(Change::Made(Living { held, user, session: created.session }));
                Ok(())
            }
            Err(stop) => {
                if let Some(token) = imported {
                    self.changes.push(Change::Doubtful(Held { label, number, token }));
                }
                Err(stop)
            }
        }
    }

    pub(super) async fn authenticate(&mut self, place: &mut Place<'_, '_>) -> Result<(), Stop> {
        // In a transaction, at times a session that it has just created.
        let own = self.changes.iter().rev().find_map(|change| match change {
            Change::Made(living) => Some(living.held.clone()),
            _ => None,
        });
        let known = || self.shared.known().token(&mut self.random);
        let Some(held) = own.or_else(known) else {
            return Ok(());
        };
        self.present(place, held).await
    }

    async fn present(&mut self, place: &mut Place<'_, '_>, held: Held) -> Result<(), Stop> {
        let Held { label, number, token } = held;
        let (action, within) = (Action::Authenticate { label, token: number }, place.within());
        let sessions = self.table_of(label);
        let call = at!(place, sessions, |target| target.authenticate(&token));
        let found = self
            .perform(action, within, call, |found| match found {
                Some(session) => (Outcome::Yes, seen(session)),
                None => (Outcome::No, Seen::default()),
            })
            .await?;
        if let Some(session) = found {
            self.changes.push(Change::Written(label, session));
        }
        Ok(())
    }

    async fn expire(&mut self, place: &mut Place<'_, '_>) -> Result<(), Stop> {
        let Some(Living { held, mut session, .. }) = self.living() else {
            return Ok(());
        };
        self.changes.push(Change::Over(held.label));
        let (action, within) = (Action::Expire { label: held.label }, place.within());
        let sessions = self.table_of(held.label);
        let call = at!(place, sessions, |target| target.expire(&mut session));
        self.perform(action, within, call, |was| yes_or_no(*was)).await.map(drop)
    }

    async fn delete(&mut self, place: &mut Place<'_, '_>) -> Result<(), Stop> {
        let Some(Living { held, session, .. }) = self.living() else {
            return Ok(());
        };
        self.changes.push(Change::Over(held.label));
        let (action, within) = (Action::Delete { label: held.label }, place.within());
        let sessions = self.table_of(held.label);
        let call = at!(place, sessions, |target| target.delete(session));
        self.perform(action, within, call, |was| yes_or_no(*was)).await.map(drop)
    }

    async fn rotate(&mut self, place: &mut Place<'_, '_>) -> Result<(), Stop> {
        let Some(Living { held, mut session, .. }) = self.living() else {
            return Ok(());
        };
        let (label, number) = (held.label, self.shared.number());
        let (action, within) = (Action::Rotate { label, token: number }, place.within());
        let sessions = self.table_of(held.label);
        let call = at!(place, sessions, |target| target.rotate(&mut session));
        let rotated = self
            .perform(action, within, call, |token| {
                let digest = Some(Digest::of(token.expose()));
                (Outcome::Yes, Seen { digest, ..Seen::default() })
            })
            .await;
        match rotated {
            Ok(token) => {
                self.changes.push(Change::Rotated(Held { label, number, token }, session));
                Ok(())
            }
            Err(stop) => {
                if self.last != Outcome::Refused {
                    self.changes.push(Change::Over(label));
                }
                Err(stop)
            }
        }
    }

    async fn update(&mut self, place: &mut Place<'_, '_>) -> Result<(), Stop> {
        let Some(Living { held, mut session, .. }) = self.living() else {
            return Ok(());
        };
        let (label, mark) = (held.label, self.shared.signed_number());
        let (action, within) = (Action::Update { label, mark }, place.within());
        let sessions = self.table_of(held.label);
        let judge = |(): &()| (Outcome::Yes, Seen { mark: Some(mark), ..Seen::default() });
        let is_repeated = self.random.bool();
        let call = async {
            if is_repeated {
                let change = |session: &mut Session<Coat>| session.fields.mark = mark;
                at!(place, sessions, |target| target.update_with(&mut session, change)).await
            } else {
                session.fields.mark = mark;
                at!(place, sessions, |target| target.update(&mut session)).await
            }
        };
        self.perform(action, within, call, judge).await?;
        self.changes.push(Change::Written(label, session));
        Ok(())
    }

    async fn extend(&mut self, place: &mut Place<'_, '_>) -> Result<(), Stop> {
        let Some(Living { held, mut session, .. }) = self.living() else {
            return Ok(());
        };
        let (action, within) = (Action::Extend { label: held.label }, place.within());
        let sessions = self.table_of(held.label);
        let call = async {
            let is_extended = at!(place, sessions, |target| target.extend(&mut session)).await?;
            Ok::<_, cloakroom::Error>((is_extended, session.clone()))
        };
        // "Not extended" does not say if it has ended.
        let (_, session) = self
            .perform(action, within, call, |(is_extended, session)| {
                (Outcome::Yes, if *is_extended { seen(session) } else { Seen::default() })
            })
            .await?;
        self.changes.push(Change::Written(held.label, session));
        Ok(())
    }

    async fn expire_all(&mut self, place: &mut Place<'_, '_>) -> Result<(), Stop> {
        let user = self.random.u32(0..USERS);
        self.changes.push(Change::AllOver(user));
        let (action, within) = (Action::ExpireAll { user }, place.within());
        let sessions = self.table_of(user.into());
        let filter = Coat::USER_ID.eq(name(user));
        let call = at!(place, sessions, |target| target.query().filter(filter).expire_all());
        self.perform(action, within, call, done).await.map(drop)
    }

    async fn delete_all(&mut self, place: &mut Place<'_, '_>) -> Result<(), Stop> {
        let user = self.random.u32(0..USERS);
        self.changes.push(Change::AllOver(user));
        let (action, within) = (Action::DeleteAll { user }, place.within());
        let sessions = self.table_of(user.into());
        let filter = Coat::USER_ID.eq(name(user));
        let call = at!(place, sessions, |target| target.query().filter(filter).delete_all());
        self.perform(action, within, call, done).await.map(drop)
    }

    /// Returns the table of a session with this label, or of a user with this number: all even ones are in one.
    fn table_of(&self, number: i64) -> Sessions<Coat> {
        self.tables[usize::from(number % 2 != 0)].clone()
    }

    fn living(&mut self) -> Option<Living> {
        self.shared.known().living(&mut self.random)
    }
}

fn name(user: u32) -> String {
    format!("user-{user}")
}

fn seen(session: &Session<Coat>) -> Seen {
    Seen { mark: Some(session.fields.mark), expires_at: session.expires_at, digest: None }
}

fn yes_or_no(was: bool) -> (Outcome, Seen) {
    (if was { Outcome::Yes } else { Outcome::No }, Seen::default())
}
