//! The application's transactions: begun on its own pool, abandoned, failed, rolled back, committed.

use cloakroom::Backend;

use super::{Place, Stop, Worker, done};
use crate::journal::{Action, Outcome, TransactionId};
use crate::pools::Open;

/// The state of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Everything in it was acknowledged.
    Sound,
    /// A call in it was dropped, and the application goes on: it learns from its next call if there is still a
    /// transaction.
    Unsure,
    /// A call in it failed, so that only a rollback is possible.
    Spoilt,
    /// The whole handler was dropped.
    Left,
}

impl Standing {
    fn after(self, result: Result<(), Stop>, goes_on: bool) -> Self {
        match result {
            Ok(()) => self,
            Err(Stop::Failed) => Self::Spoilt,
            Err(Stop::Dropped) if goes_on => Self::Unsure,
            Err(Stop::Dropped) => Self::Left,
        }
    }

    fn is_over(self) -> bool {
        matches!(self, Self::Spoilt | Self::Left)
    }
}

impl Worker {
    /// Runs a transaction with operations of the library's in it.
    pub(super) async fn transaction(&mut self) {
        let transaction = self.shared.number();
        let Ok(mut open) = Box::pin(self.begin(transaction)).await else {
            return;
        };
        let mut standing = Standing::Sound;
        for _ in 0..self.random.u8(1..=5) {
            standing = self.step(standing, &mut open, transaction).await;
            if standing.is_over() {
                break;
            }
        }
        if standing == Standing::Unsure {
            let made = self.create(&mut Place::Within(&mut open, transaction)).await;
            standing = Standing::Sound.after(made, false);
        }
        let fate = self.end(standing, open, transaction).await;
        for change in std::mem::take(&mut self.changes) {
            match fate {
                Outcome::Yes => self.shared.apply(change),
                Outcome::Refused => self.shared.known().undo(change),
                _ => self.shared.known().doubt(change),
            }
        }
    }

    /// Runs a transaction of the application's alone, which its handler often abandons.
    pub(super) async fn abandoned_transaction(&mut self) {
        let transaction = self.shared.number();
        let Ok(mut open) = Box::pin(self.own_begin(transaction)).await else {
            return;
        };
        let mut standing = Standing::Sound;
        for _ in 0..self.random.u8(0..3) {
            let written = self.statement(&mut open, transaction).await;
            standing = standing.after(written, false);
            if standing.is_over() {
                break;
            }
        }
        self.end(standing, open, transaction).await;
    }

    /// At times as the library recommends, at times not.
    async fn begin(&mut self, transaction: TransactionId) -> Result<Open<'static>, Stop> {
        if self.random.bool() && !self.shared.settings.begins_by_library {
            return Box::pin(self.own_begin(transaction)).await;
        }
        let sessions = self.tables[0].clone();
        let action = Action::Begin { transaction };
        self.perform(action, Some(transaction), sessions.begin(), done).await.map(Open::from)
    }

    async fn own_begin(&mut self, transaction: TransactionId) -> Result<Open<'static>, Stop> {
        let takes_lock = self.random.bool();
        let database = self.tables[0].database().clone();
        let call = Open::own(&database, takes_lock);
        Box::pin(self.perform(Action::OwnBegin { transaction }, Some(transaction), call, done)).await
    }

    /// Does one thing that an application does in its transaction.
    async fn step(
        &mut self,
        standing: Standing,
        open: &mut Open<'_>,
        transaction: TransactionId,
    ) -> Standing {
        // On MariaDB the driver (sqlx 0.9) may take the rest of a dropped call's answer for the answer to the next
        // call.
        let goes_on = self.random.bool() && self.tables[0].backend() != Backend::MySql;
        match self.random.u8(0..100) {
            // If there is no transaction any more, another one inside of it would be one of its own.
            86.. if standing == Standing::Sound => self.inner(standing, open, transaction).await,
            0..72 | 86.. => {
                let done = self.operation(&mut Place::Within(open, transaction)).await;
                standing.after(done, goes_on)
            }
            72..86 => {
                let written = self.statement(open, transaction).await;
                standing.after(written, goes_on)
            }
        }
    }

    /// Runs a transaction inside, with a beginning that is dropped more often than most calls.
    async fn inner(&mut self, standing: Standing, open: &mut Open<'_>, outer: TransactionId) -> Standing {
        let transaction = self.shared.number();
        let action = Action::InnerBegin { transaction, outer };
        let goes_on = self.random.u8(0..4) > 0;
        let mut inner = match self.perform(action, Some(outer), open.begin(), done).await {
            Ok(inner) => inner,
            Err(stop) => return standing.after(Err(stop), goes_on),
        };
        let before = self.changes.len();
        let mut within = Standing::Sound;
        for _ in 0..self.random.u8(0..3) {
            let done = self.operation(&mut Place::Within(&mut inner, transaction)).await;
            within = within.after(done, false);
            if within.is_over() {
                break;
            }
        }
        match self.end(within, inner, transaction).await {
            Outcome::Yes => standing,
            Outcome::Refused => {
                for change in self.changes.split_off(before) {
                    self.shared.known().undo(change);
                }
                // The outer one may go on; its next call says if it still exists.
                let goes_on = goes_on && self.tables[0].backend() != Backend::MySql;
                if within == Standing::Left && !goes_on { Standing::Left } else { Standing::Unsure }
            }
            _ => Standing::Spoilt,
        }
    }

    /// Runs a statement of the application's own, which fails at times.
    async fn statement(&mut self, open: &mut Open<'_>, transaction: TransactionId) -> Result<(), Stop> {
        let sql = match self.random.u8(0..10) {
            0 => "INSERT INTO torture_notes (id, body) VALUES (1, 'the number is taken')",
            1 => "SELECT nothing FROM torture_notes",
            2..6 => "UPDATE torture_notes SET body = 'changed' WHERE id = 2",
            _ => "SELECT count(*) FROM torture_notes",
        };
        self.perform(Action::Statement, Some(transaction), open.execute(sql), done).await
    }

    /// Commits, rolls back or drops. Returns whether it stands (`Yes`), is rolled back (`Refused`), or may be either.
    async fn end(&mut self, standing: Standing, open: Open<'_>, transaction: TransactionId) -> Outcome {
        let choice = self.random.u8(0..100);
        let may_commit = matches!(standing, Standing::Sound | Standing::Unsure);
        if may_commit && choice < 60 {
            let action = Action::Commit { transaction };
            let committed = self.perform(action, Some(transaction), open.commit(), done).await;
            return if committed.is_ok() { Outcome::Yes } else { Outcome::Unknown };
        }
        if standing != Standing::Left && choice < 80 {
            let action = Action::Rollback { transaction };
            // With any answer: a transaction that is not committed is rolled back.
            let _ = self.perform(action, Some(transaction), open.rollback(), done).await;
        }
        Outcome::Refused
    }
}
