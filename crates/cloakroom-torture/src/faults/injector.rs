//! Causes the faults that do not belong to a call: one after another, at random moments.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cloakroom_testing::servers::Server;

use super::Fault;
use super::locks::{self, Held};
use super::network::{Order, Proxy};
use crate::clock::SteppingClock;
use crate::pools::Room;
use crate::processes::Processes;
use crate::settings::Kind;
use crate::worker::Shared;

/// For this long the injector waits for the first answer after a fault.
const PATIENCE: Duration = Duration::from_mins(1);

/// What faults are caused with.
pub(crate) struct Means {
    pub(crate) kind: Kind,
    /// Of the database itself, without the proxy.
    pub(crate) url: String,
    pub(crate) proxy: Option<Proxy>,
    pub(crate) server: Option<Server>,
    pub(crate) room: Room,
    pub(crate) clocks: Vec<SteppingClock>,
    pub(crate) processes: Option<Processes>,
}

/// How often each fault was caused, and the longest time from its end to the answer of a call that began after it.
#[derive(Debug, Default)]
pub(crate) struct Caused {
    pub(crate) times: BTreeMap<Fault, u64>,
    pub(crate) recovery: BTreeMap<Fault, Duration>,
}

pub(crate) struct Injector {
    means: Means,
    faults: Vec<Fault>,
    shared: Arc<Shared>,
    random: fastrand::Rng,
    caused: Caused,
}

impl Injector {
    pub(crate) fn new(means: Means, shared: Arc<Shared>) -> Self {
        let settings = &shared.settings;
        let can_meet = Fault::of(means.kind, means.server.is_some(), means.processes.is_some());
        let of_calls = |fault: &Fault| *fault == Fault::Dropped;
        let faults = settings.faults.intersection(&can_meet).filter(|fault| !of_calls(fault));
        let (faults, random) = (faults.copied().collect(), fastrand::Rng::with_seed(!settings.seed));
        Self { means, faults, shared, random, caused: Caused::default() }
    }

    /// Causes faults until the workers are told to stop. In the end everything works again.
    pub(crate) async fn run(mut self) -> (Caused, Means) {
        while !self.shared.is_over() {
            let pause = self.span(500, 2000);
            tokio::time::sleep(pause).await;
            let Some(fault) = self.random.choice(self.faults.iter().copied()) else {
                continue;
            };
            if self.shared.is_over() {
                break;
            }
            match self.cause(fault).await {
                Ok(()) => *self.caused.times.entry(fault).or_default() += 1,
                // A server that does not start again is a violation that the check of the table finds.
                Err(problem) => eprintln!("{fault} could not be caused: {problem}"),
            }
            self.await_recovery(fault).await;
        }
        for clock in &self.means.clocks {
            clock.set(0);
        }
        if let Some(proxy) = &self.means.proxy {
            proxy.order(Order::CutSilent);
        }
        (self.caused, self.means)
    }

    fn span(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(self.random.u64(from..to))
    }

    async fn cause(&mut self, fault: Fault) -> Result<(), String> {
        match fault {
            Fault::Dropped => {}
            Fault::Disk => {
                self.means.room.set(true);
                tokio::time::sleep(Duration::from_millis(700)).await;
                self.means.room.set(false);
            }
            Fault::Kill => {
                self.server(|server| {
                    server.kill();
                    server.start().map_err(|error| error.to_string())
                })
                .await?;
            }
            Fault::Freeze => {
                let time = self.span(200, 3000);
                self.server(|server| {
                    server.freeze();
                    Ok(())
                })
                .await?;
                tokio::time::sleep(time).await;
                self.server(|server| {
                    server.thaw();
                    Ok(())
                })
                .await?;
            }
            Fault::Cut => self.order(Order::Cut),
            Fault::Answer => self.order(Order::LoseAnswer),
            Fault::Stall => {
                let time = self.span(200, 4000);
                self.order(Order::Stall(time));
                tokio::time::sleep(time).await;
            }
            Fault::Silence => self.order(Order::Silence),
            Fault::HalfClose => self.order(Order::HalfClose),
            Fault::Lock => self.hold(locks::table).await?,
            Fault::ReadOnly => self.hold(locks::writes).await?,
            Fault::Worker => {
                if let Some(processes) = &mut self.means.processes {
                    processes.kill_one()?;
                }
            }
            Fault::Clock => {
                let seconds = self.random.i64(-20..=20);
                if let Some(clock) = self.random.choice(self.means.clocks.iter()) {
                    clock.set(seconds);
                }
            }
        }
        Ok(())
    }

    fn order(&self, order: Order) {
        if let Some(proxy) = &self.means.proxy {
            proxy.order(order);
        }
    }

    async fn hold(
        &mut self,
        take: impl AsyncFnOnce(Kind, &str) -> Result<Held, sqlx::Error>,
    ) -> Result<(), String> {
        let time = self.span(200, 2000);
        let held = take(self.means.kind, &self.means.url).await.map_err(|error| error.to_string())?;
        tokio::time::sleep(time).await;
        held.give_back().await.map_err(|error| error.to_string())
    }

    /// The server's own functions wait, so they run apart.
    async fn server(
        &mut self,
        action: impl FnOnce(&mut Server) -> Result<(), String> + Send + 'static,
    ) -> Result<(), String> {
        let Some(mut server) = self.means.server.take() else {
            return Err("the server is not ours".to_owned());
        };
        let done = tokio::task::spawn_blocking(move || {
            let result = action(&mut server);
            (server, result)
        });
        let (server, result) = done.await.map_err(|error| error.to_string())?;
        self.means.server = Some(server);
        result
    }

    async fn await_recovery(&mut self, fault: Fault) {
        let (since, ended) = (self.shared.tick(), Instant::now());
        while self.shared.last_success() < since && !self.shared.is_over() {
            if ended.elapsed() > PATIENCE {
                eprintln!("no call has succeeded for a minute after {fault}");
                break;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let longest = self.caused.recovery.entry(fault).or_default();
        *longest = ended.elapsed().max(*longest);
    }
}
