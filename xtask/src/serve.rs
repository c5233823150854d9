use std::thread;
use std::time::Duration;

use cloakroom_testing::servers::{Kind, Server};

use crate::install::{self, Need};

/// Keeps a server running until this process is interrupted. The watchdog then removes it.
pub(crate) fn run(kind: Kind) -> Result<(), String> {
    install::ensure(&[Need::Server(kind)])?;
    let mut server = Server::launch(kind).map_err(|e| e.to_string())?;
    println!("{}", server.url());
    eprintln!("{kind} is ready; Ctrl-C ends it and removes its data");
    while server.is_running() {
        thread::sleep(Duration::from_millis(200));
    }
    Err(format!("{kind} has ended by itself:\n{}", server.log_tail()))
}
