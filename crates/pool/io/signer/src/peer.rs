use std::{io, os::unix::net::UnixStream};

/// Whether the process at the other end may ask: it is this one's user, or the named one.
///
/// # Errors
/// The system does not say who it is.
pub(crate) fn may_ask(stream: &UnixStream, named: Option<u32>) -> io::Result<bool> {
    let other = rustix::net::sockopt::socket_peercred(stream)?.uid.as_raw();
    Ok(other == rustix::process::geteuid().as_raw() || named == Some(other))
}
