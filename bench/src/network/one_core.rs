//! An application on a thread of its own: it never uses more than one core, and how long it has used it can be told.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::failure::{Failure, Outcome};

/// A running application. Dropping it ends the application.
pub struct OneCore {
    pub address: SocketAddr,
    statistics: PathBuf,
    _running: oneshot::Sender<()>,
}

impl OneCore {
    /// Makes the application on its thread, and starts it.
    pub fn start<F>(make: impl FnOnce() -> F + Send + 'static) -> Outcome<Self>
    where
        F: Future<Output = Outcome<Router>>,
    {
        let (started, starting) = mpsc::channel();
        let (running, stopped) = oneshot::channel::<()>();
        thread::spawn(move || {
            if let Err(failure) = serve(make, &started, stopped) {
                // If it is not waited for any more, it has served.
                let _ = started.send(Err(failure));
            }
        });
        let (address, statistics) = starting.recv()??;
        Ok(Self { address, statistics, _running: running })
    }

    /// Returns for how long the application has used a core.
    pub fn time(&self) -> Outcome<Duration> {
        let statistics = fs::read_to_string(&self.statistics)?;
        let nanoseconds = statistics.split(' ').next().unwrap_or_default().parse()?;
        Ok(Duration::from_nanos(nanoseconds))
    }

    /// Returns `true` if the system tells how long a thread has used a core. Linux does.
    pub fn can_be_timed() -> bool {
        statistics_of_this_thread().is_ok()
    }
}

type Started = Result<(SocketAddr, PathBuf), Failure>;

fn serve<F>(
    make: impl FnOnce() -> F,
    started: &mpsc::Sender<Started>,
    stopped: oneshot::Receiver<()>,
) -> Outcome
where
    F: Future<Output = Outcome<Router>>,
{
    let statistics = statistics_of_this_thread()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let router = make().await?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        started.send(Ok((listener.local_addr()?, statistics)))?;
        tokio::select! {
            served = axum::serve(listener, router).into_future() => Ok(served?),
            _ = stopped => Ok(()),
        }
    })
}

fn statistics_of_this_thread() -> Outcome<PathBuf> {
    let thread = fs::read_link("/proc/thread-self")?;
    let statistics = Path::new("/proc").join(thread).join("schedstat");
    fs::metadata(&statistics)?;
    Ok(statistics)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use axum::routing::get;

    use super::*;
    use crate::network::connections::Connections;

    #[test]
    fn the_time_of_its_thread_alone_is_told() {
        if !OneCore::can_be_timed() {
            return;
        }
        let busy = Duration::from_millis(100);
        let page = move || async move {
            let start = Instant::now();
            while start.elapsed() < busy {}
            "done"
        };
        let application =
            OneCore::start(move || async move { Ok(Router::new().route("/", get(page))) }).unwrap();
        let before = application.time().unwrap();
        // Another thread's work is not its own.
        let start = Instant::now();
        while start.elapsed() < busy {}
        assert!(application.time().unwrap().saturating_sub(before) < busy / 2);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let request = b"GET / HTTP/1.1\r\nhost: example.com\r\n\r\n";
            let (head, _) =
                Connections::new(application.address).exchange(request, &mut [0; 1024]).await.unwrap();
            assert_eq!(head.status, 200);
        });
        assert!(application.time().unwrap() > before);
    }

    #[test]
    fn what_keeps_it_from_starting_is_told() {
        let started = OneCore::start(|| async { Err("no database".into()) });
        assert_eq!(started.err().unwrap().to_string(), "no database");
    }
}
