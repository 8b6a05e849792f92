//! What miners of Stratum V2 know the pool by: a key of the operator's, or one that is made here at the first start.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context as _;
use bq_front::{Authority, V2Config};
use bq_runtime::Config;

use crate::exit::UsageError;

/// How V2 is served; nothing if it is off.
///
/// # Errors
/// [`UsageError`] if the file with the key cannot be used as it is.
pub(super) fn v2(config: &Config) -> anyhow::Result<Option<V2Config>> {
    let limits = &config.stratum_limits;
    if !limits.v2_enabled {
        return Ok(None);
    }
    let path = limits.v2_authority_key_file.clone().unwrap_or_else(|| own_file(&config.data_dir));
    Ok(Some(V2Config {
        listen: config.stratum_v2,
        authority: Arc::new(read_or_make(&path)?),
        certificate_secs: limits.v2_certificate_secs,
        handshake_ms: limits.v2_handshake_secs.saturating_mul(1000),
        handshakes_max: limits.v2_handshakes_max,
        channels_max: limits.v2_channels_max,
    }))
}

fn own_file(data_dir: &Path) -> PathBuf {
    data_dir.join("stratum-v2-authority")
}

fn read_or_make(path: &Path) -> anyhow::Result<Authority> {
    let unfit = |reason: &dyn std::fmt::Display| {
        UsageError(format!("stratum.v2_authority_key_file: {}: {reason}", path.display()))
    };
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Authority::parse(&text).map_err(|error| unfit(&error))?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut secret = [0; 32];
            getrandom::fill(&mut secret).map_err(|error| anyhow::anyhow!("no system randomness: {error}"))?;
            let authority = Authority::of_secret(secret)?;
            let text = format!("{}\n", authority.secret_text());
            bq_private_file::write(path, text.as_bytes()).with_context(|| path.display().to_string())?;
            Ok(authority)
        }
        Err(error) => Err(unfit(&error).into()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_key_is_made_once_for_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data/stratum-v2-authority");
        let first = read_or_make(&path).unwrap();
        assert_eq!(read_or_make(&path).unwrap().public(), first.public());
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(&path, "no key").unwrap();
        let error = read_or_make(&path).unwrap_err();
        assert!(error.is::<UsageError>() && error.to_string().contains("v2_authority_key_file"), "{error}");
    }
}
