//! The journal as a file, for workers in processes that are killed: what was written before that is read afterwards.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::journal::{Call, Label, Outcome, Tick, TokenNumber};

/// What the journals' files end with.
const EXTENSION: &str = "journal";

/// One line of a journal.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Line {
    /// A call was begun. If nothing follows, its process was killed.
    Began(Call),
    Ended(Call),
    /// For the other processes, which present the token too.
    Learned(News),
}

/// What a process tells the others about a session, as browsers would hand on a cookie. The tokens are those of a
/// server that lives as long as the run.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum News {
    Held { label: Label, number: TokenNumber, token: String },
    Over(Label),
}

/// A journal that this process writes.
#[derive(Debug)]
pub(crate) struct JournalFile(Mutex<File>);

impl JournalFile {
    pub(crate) fn create(directory: &Path, process: u64) -> io::Result<Self> {
        let path = directory.join(format!("{process}.{EXTENSION}"));
        let file = OpenOptions::new().create_new(true).append(true).mode(0o600).open(path)?;
        Ok(Self(Mutex::new(file)))
    }

    /// Writes one line at once, so that it is in the file as a whole, or not at all.
    pub(crate) fn write(&self, line: &Line) {
        let mut text = serde_json::to_vec(line).expect("no map with keys that are no text");
        text.push(b'\n');
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(&text).expect("the journal has room");
    }
}

/// Reads the journals of a directory as they grow.
#[derive(Debug)]
pub(crate) struct Reader {
    directory: PathBuf,
    /// The name of the journal that is not read.
    own: Option<String>,
    read: BTreeMap<PathBuf, u64>,
}

impl Reader {
    /// Reads the journals of all processes but this one.
    pub(crate) fn new(directory: &Path, own: Option<u64>) -> Self {
        let own = own.map(|process| format!("{process}.{EXTENSION}"));
        Self { directory: directory.to_owned(), own, read: BTreeMap::new() }
    }

    /// Calls `take` with each line that was written since the last call.
    pub(crate) fn each_new(&mut self, mut take: impl FnMut(Line)) -> io::Result<()> {
        for entry in fs::read_dir(&self.directory)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            let is_journal = path.extension().is_some_and(|extension| extension == EXTENSION);
            if !is_journal || name == self.own.as_deref() {
                continue;
            }
            let begin = self.read.entry(path.clone()).or_default();
            let mut file = File::open(&path)?;
            file.seek(SeekFrom::Start(*begin))?;
            let mut text = Vec::new();
            file.read_to_end(&mut text)?;
            // A last line without an end is not whole yet, or its process was killed in between.
            let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
            *begin += u64::try_from(whole).unwrap_or_default();
            for line in text[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                take(serde_json::from_slice(line).map_err(io::Error::other)?);
            }
        }
        Ok(())
    }
}

/// Returns the calls of all journals, in order. Calls that were begun and not ended were left by their process.
pub(crate) fn calls(directory: &Path, end: Tick) -> io::Result<Vec<Call>> {
    let mut calls = BTreeMap::new();
    Reader::new(directory, None).each_new(|line| match line {
        Line::Began(call) => {
            calls.insert(call.start, Call { end, outcome: Outcome::Dropped, ..call });
        }
        Line::Ended(call) => {
            calls.insert(call.start, call);
        }
        Line::Learned(_) => {}
    })?;
    Ok(calls.into_values().collect())
}
