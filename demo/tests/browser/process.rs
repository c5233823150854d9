//! Processes that end with their test, however that ends.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

pub(crate) struct Process {
    shell: Child,
    output: Arc<Mutex<String>>,
}

/// Runs the program in a process group of its own, and kills that group once the pipe from us is
/// closed: by `Drop`, or by the end of this process. Its output ends with the program.
const GUARD: &str = r#""$@" </dev/null 2>&1 & exec >/dev/null 2>&1; read -r _; kill -s KILL 0"#;

impl Process {
    /// Starts it, and waits for what follows `mark` in a line of its output, up to a blank.
    pub(crate) fn start(command: &Command, mark: &str) -> (Self, String) {
        Self::try_start(command, mark).unwrap_or_else(|output| {
            panic!("{command:?} never said `{mark}`, but:\n{output}");
        })
    }

    /// The same, or what it said instead: when it ended, or has not said it within a minute.
    pub(crate) fn try_start(command: &Command, mark: &str) -> Result<(Self, String), String> {
        let mut guarded = Command::new("/bin/sh");
        guarded
            .args(["-c", GUARD, "guard"])
            .arg(command.get_program())
            .args(command.get_args())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0);
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => guarded.env(name, value),
                None => guarded.env_remove(name),
            };
        }
        if let Some(directory) = command.get_current_dir() {
            guarded.current_dir(directory);
        }
        let mut shell = guarded.spawn().expect("there is a shell");
        let lines = BufReader::new(shell.stdout.take().expect("it is piped")).lines();

        let output = Arc::new(Mutex::new(String::new()));
        let (found, finding) = mpsc::channel();
        let (kept, wanted) = (Arc::clone(&output), mark.to_owned());
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if let Some((_, rest)) = line.split_once(&wanted) {
                    let word = rest.split_whitespace().next().unwrap_or_default();
                    // Only the first one is waited for.
                    let _ = found.send(word.trim_end_matches('.').to_owned());
                }
                let mut kept = kept.lock().expect("nobody panics with it");
                kept.push_str(&line);
                kept.push('\n');
            }
        });
        let process = Self { shell, output };
        match finding.recv_timeout(Duration::from_mins(1)) {
            Ok(word) => Ok((process, word)),
            Err(_) => Err(process.output()),
        }
    }

    /// All that it printed, on either stream.
    pub(crate) fn output(&self) -> String {
        self.output.lock().expect("nobody panics with it").clone()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        // It killed itself with its group.
        let _ = self.shell.wait();
        if thread::panicking() {
            let output = self.output();
            let tail: Vec<&str> = output.lines().rev().take(30).collect();
            for line in tail.iter().rev() {
                println!("  | {line}");
            }
        }
    }
}
