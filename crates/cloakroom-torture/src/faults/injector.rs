//! Causes the faults that do not belong to a call: one after another, at random moments.

use std::collections::BTreeMap;
use std::mem;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cloakroom_testing::servers::Server;

use super::Fault;
use super::locks::{self, Held};
use super::network::{Order, Proxy};
use super::reunion;
use crate::clock::SteppingClock;
use crate::pools::Room;
use crate::processes::Processes;
use crate::settings::Kind;
use crate::target::{Servers, Target};
use crate::worker::Shared;

/// For this long the injector waits for the first answer after a fault.
const PATIENCE: Duration = Duration::from_mins(1);

/// For this long an operator waits for a cluster to come together by itself.
const PATIENCE_OF_OPERATORS: Duration = Duration::from_secs(20);

/// What faults are caused with.
pub(crate) struct Means {
    /// The database itself, without the proxies.
    pub(crate) target: Target,
    pub(crate) proxies: Vec<Proxy>,
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
        let can_meet = Fault::of(&means.target, means.processes.is_some());
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
            let begun = Instant::now();
            let caused = self.cause(fault).await;
            if begun.elapsed() > Duration::from_secs(4) {
                eprintln!("{fault} took {:.1?}", begun.elapsed());
            }
            match caused {
                Ok(()) => *self.caused.times.entry(fault).or_default() += 1,
                // A server that does not start again is a violation that the check of the table finds.
                Err(problem) => eprintln!("{fault} could not be caused: {problem}"),
            }
            self.await_recovery(fault).await;
        }
        for clock in &self.means.clocks {
            clock.set(0);
        }
        self.order(Order::CutSilent);
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
                let number = self.any_server();
                self.server(number, |server| {
                    server.kill();
                    server.start().map_err(|error| error.to_string())
                })
                .await?;
            }
            Fault::Power => self.cut_power().await?,
            Fault::Freeze => {
                let (number, time) = (self.any_server(), self.span(200, 3000));
                self.freeze(number..=number, time).await?;
            }
            Fault::Evict => {
                let (number, time) = (self.any_server(), self.span(7000, 11_000));
                self.freeze(number..=number, time).await?;
            }
            Fault::Quorum => {
                let (last, time) = (self.means.target.servers.count() - 1, self.span(7000, 11_000));
                self.freeze(1..=last, time).await?;
            }
            Fault::FailOver => {
                self.change(|servers| match servers {
                    Servers::Pair(pair) => pair.fail_over().map_err(|error| error.to_string()),
                    _ => Err("there is no standby".to_owned()),
                })
                .await?;
                if let (Servers::Pair(pair), Some(proxy)) =
                    (&self.means.target.servers, self.means.proxies.first())
                {
                    proxy.lead_to(pair.standby.url()).map_err(|error| error.to_string())?;
                }
                self.change(|servers| match servers {
                    Servers::Pair(pair) => pair.replace_standby().map_err(|error| error.to_string()),
                    _ => Ok(()),
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

    async fn cut_power(&mut self) -> Result<(), String> {
        if let Servers::File(disk) = &self.means.target.servers {
            let processes = self.means.processes.as_mut().ok_or("no process works")?;
            // These wait for other programs.
            return tokio::task::block_in_place(|| {
                processes.freeze_all();
                if let Err(error) = disk.cut_power() {
                    processes.thaw_all();
                    return Err(error.to_string());
                }
                processes.kill_all()?;
                disk.restore_power().map_err(|error| error.to_string())?;
                processes.start_all()
            });
        }
        self.server(0, |server| {
            server.cut_power().and_then(|()| server.start()).map_err(|error| error.to_string())
        })
        .await
    }

    fn order(&self, order: Order) {
        for proxy in &self.means.proxies {
            proxy.order(order);
        }
    }

    fn any_server(&mut self) -> usize {
        self.random.usize(0..self.means.target.servers.count())
    }

    /// Lets these servers stand still for a time.
    async fn freeze(&mut self, numbers: RangeInclusive<usize>, time: Duration) -> Result<(), String> {
        for number in numbers.clone() {
            self.server(number, |server| {
                server.freeze();
                Ok(())
            })
            .await?;
        }
        tokio::time::sleep(time).await;
        for number in numbers {
            self.server(number, |server| {
                server.thaw();
                Ok(())
            })
            .await?;
        }
        Ok(())
    }

    async fn hold(
        &mut self,
        take: impl AsyncFnOnce(Kind, &str) -> Result<Held, sqlx::Error>,
    ) -> Result<(), String> {
        let time = self.span(200, 2000);
        let held =
            take(self.means.target.kind, self.means.target.url()).await.map_err(|error| error.to_string())?;
        tokio::time::sleep(time).await;
        held.give_back().await.map_err(|error| error.to_string())
    }

    async fn server(
        &mut self,
        number: usize,
        action: impl FnOnce(&mut Server) -> Result<(), String> + Send + 'static,
    ) -> Result<(), String> {
        let action = move |servers: &mut Servers| {
            servers.server(number).map_or(Err("the server is not ours".to_owned()), action)
        };
        self.change(action).await
    }

    /// The servers' own functions wait, so they run apart.
    async fn change(
        &mut self,
        action: impl FnOnce(&mut Servers) -> Result<(), String> + Send + 'static,
    ) -> Result<(), String> {
        let mut servers = mem::replace(&mut self.means.target.servers, Servers::Others);
        let done = tokio::task::spawn_blocking(move || {
            let result = action(&mut servers);
            (servers, result)
        });
        let (servers, result) = done.await.map_err(|error| error.to_string())?;
        self.means.target.servers = servers;
        result
    }

    async fn await_recovery(&mut self, fault: Fault) {
        let (since, ended) = (self.shared.tick(), Instant::now());
        let mut is_bootstrapped = false;
        while self.shared.last_success() < since && !self.shared.is_over() {
            if ended.elapsed() > PATIENCE {
                eprintln!("no call has succeeded for a minute after {fault}");
                break;
            }
            let is_cluster = self.means.target.servers.is_cluster();
            if is_cluster && !is_bootstrapped && ended.elapsed() > PATIENCE_OF_OPERATORS {
                match reunion::bootstrap(&self.means.target.urls).await {
                    Ok(true) => eprintln!("the cluster was made anew after {fault}"),
                    Ok(false) => {}
                    Err(error) => eprintln!("the cluster could not be made anew after {fault}: {error}"),
                }
                is_bootstrapped = true;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let longest = self.caused.recovery.entry(fault).or_default();
        *longest = ended.elapsed().max(*longest);
    }
}
