//! Random names, passwords and ports.

use std::fmt::Write;
use std::fs::File;
use std::io::Read;
use std::net::TcpListener;
use std::path::Path;

use super::error::ServerError;

/// Returns `bytes` random bytes in hexadecimal, which suit a file name, a URL and an SQL literal.
pub(super) fn hex(bytes: usize) -> Result<String, ServerError> {
    let mut text = String::new();
    for byte in random(bytes)? {
        let _ = write!(text, "{byte:02x}"); // A String takes everything.
    }
    Ok(text)
}

/// Returns a port of 127.0.0.1 on which no process listens.
///
/// It is below the range that systems give to outgoing connections (32768 and up, 49152 on some): while a test has
/// stopped its server, a client's own end must not occupy the server's port.
pub(super) fn free_port() -> Result<u16, ServerError> {
    let mut refusal = None;
    for _ in 0..100 {
        let bytes = random(2)?;
        let port = 20_000 + u16::from_le_bytes([bytes[0], bytes[1]]) % 12_000;
        match TcpListener::bind(("127.0.0.1", port)) {
            Ok(_) => return Ok(port),
            Err(error) => refusal = Some(error),
        }
    }
    Err(ServerError::Io {
        doing: "find a free port of 127.0.0.1".to_owned(),
        source: refusal.unwrap_or_else(|| std::io::ErrorKind::AddrInUse.into()),
    })
}

fn random(bytes: usize) -> Result<Vec<u8>, ServerError> {
    let source = Path::new("/dev/urandom");
    let mut buffer = vec![0; bytes];
    File::open(source)
        .and_then(|mut file| file.read_exact(&mut buffer))
        .map_err(|e| ServerError::io("read", source, e))?;
    Ok(buffer)
}
