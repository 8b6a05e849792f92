//! The login of a running process: a file in its data directory that only its owner can read, with a password that is new at every
//! start. Whoever can read it could read the pool's key as well.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use bq_rpc::{RpcAccess, RpcLogin};
use bq_runtime::Config;

use crate::exit::UsageError;

const NAME: &str = "rpc-cookie";

/// A cookie file that goes with the process.
#[derive(Debug)]
pub(crate) struct Cookie {
    path: PathBuf,
}

/// Whom the JSON-RPC server lets change something, and the cookie file that was written for that.
///
/// # Errors
/// The file cannot be written, or the one with another login not be read.
pub(crate) fn access(config: &Config) -> anyhow::Result<(RpcAccess, Option<Cookie>)> {
    if !config.rpc_needs_login {
        remove(&config.data_dir.join(NAME))?;
        return Ok((RpcAccess::Everybody, None));
    }
    let (cookie, login) = Cookie::write(&config.data_dir)?;
    let other = config.rpc_login_file.as_deref().map(read_login_file).transpose()?;
    Ok((RpcAccess::Logins([login].into_iter().chain(other).collect()), Some(cookie)))
}

/// Whether [`access`] would be well now; the login of a process that runs stays as it is.
///
/// # Errors
/// As [`access`].
pub(crate) fn rehearse(config: &Config) -> anyhow::Result<()> {
    if config.rpc_needs_login {
        let path = config.data_dir.join(NAME);
        bq_private_file::rehearse(&path, &[b'x'; 96]).with_context(|| path.display().to_string())?;
        config.rpc_login_file.as_deref().map(read_login_file).transpose()?;
    }
    Ok(())
}

/// The login of the process that runs in a data directory; nothing without a file, or where this user may not read it.
pub(crate) fn login_in(data_dir: &Path) -> Option<RpcLogin> {
    fs::read_to_string(data_dir.join(NAME)).ok().and_then(|text| RpcLogin::parse(&text).ok())
}

impl Cookie {
    fn write(data_dir: &Path) -> anyhow::Result<(Self, RpcLogin)> {
        let mut secret = [0_u8; 32];
        getrandom::fill(&mut secret).map_err(|error| anyhow::anyhow!("no system randomness: {error}"))?;
        let login = RpcLogin::cookie(&secret);
        let path = data_dir.join(NAME);
        let line = format!("{}\n", login.expose());
        bq_private_file::write(&path, line.as_bytes()).with_context(|| path.display().to_string())?;
        Ok((Self { path }, login))
    }
}

/// Nothing answers to it any more.
impl Drop for Cookie {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "the cookie file stays; it opens nothing");
        }
    }
}

/// The login that the setting `rpc_login_file` names.
///
/// # Errors
/// It cannot be read, or its first line is none.
pub(crate) fn read_login_file(path: &Path) -> Result<RpcLogin, UsageError> {
    let refused = |reason: &dyn std::fmt::Display| UsageError(format!("rpc_login_file: {}: {reason}", path.display()));
    let text = fs::read_to_string(path).map_err(|error| refused(&error))?;
    let is_open = fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o077 != 0);
    if is_open {
        tracing::warn!(path = %path.display(), "rpc_login_file can be read by others than its owner");
    }
    RpcLogin::parse(text.lines().next().unwrap_or_default()).map_err(|error| refused(&error))
}

fn remove(path: &Path) -> io::Result<()> {
    fs::remove_file(path).or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(folder: &Path) -> Config {
        let mut config = bq_runtime::load(&bq_runtime::Layers::default()).expect("defaults").config;
        config.data_dir = folder.to_owned();
        config
    }

    #[test]
    fn a_cookie_is_its_owners_new_each_time_and_gone_afterwards() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(NAME);
        fs::write(&path, "__cookie__:old").expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("set");
        let mut seen = Vec::new();
        for _ in 0..2 {
            let (access, cookie) = access(&config(folder.path())).expect("written");
            assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
            let login = login_in(folder.path()).expect("a login");
            let RpcAccess::Logins(known) = access else { panic!("a login is needed") };
            assert_eq!(known, std::slice::from_ref(&login));
            seen.push(login.expose().to_owned());
            rehearse(&config(folder.path())).expect("could be written again");
            assert_eq!(login_in(folder.path()).as_ref(), Some(&login), "and was not");
            drop(cookie);
            assert!(!path.exists());
        }
        assert_ne!(seen.first(), seen.last());
        assert!(login_in(folder.path()).is_none());
    }

    #[test]
    fn a_login_file_is_taken_beside_it_and_none_needs_no_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut config = config(folder.path());
        config.rpc_login_file = Some(folder.path().join("login"));
        assert!(access(&config).is_err(), "no such file");
        fs::write(folder.path().join("login"), "password\n").expect("written");
        assert!(access(&config).expect_err("no user").to_string().contains("rpc_login_file"));
        fs::write(folder.path().join("login"), "ops:secret\nanything\n").expect("written");
        let (RpcAccess::Logins(known), _cookie) = access(&config).expect("good") else { panic!("a login is needed") };
        assert_eq!(known.last().map(RpcLogin::expose), Some("ops:secret"));
        config.rpc_needs_login = false;
        let (open, cookie) = access(&config).expect("good");
        assert!(matches!(open, RpcAccess::Everybody) && cookie.is_none() && !folder.path().join(NAME).exists());
    }
}
