//! Files that settings name, looked at before anything starts: a wrong path is a wrong setting (exit code 2), not a fault of a part that
//! finds it out when others are up.

use std::{fs, path::Path};

use bq_runtime::Config;
use bq_wallet::Password;

use crate::{cookie::read_login_file, exit::UsageError};

/// Refuses a configuration that names files which cannot be what they are named for. What is made at the first start may be missing.
///
/// # Errors
/// The first of them, by the name of its setting.
pub(crate) fn check(config: &Config) -> Result<(), UsageError> {
    if config.data_dir.exists() && !config.data_dir.is_dir() {
        return Err(UsageError(format!("data_dir: {} is not a folder", config.data_dir.display())));
    }
    if let Some(path) = &config.ready_file {
        check_place(path).map_err(|problem| UsageError(format!("ready_file: {}: {problem}", path.display())))?;
    }
    if let Some(path) = &config.rpc_login_file {
        read_login_file(path)?;
    }
    if let Some(path) = &config.pool.password_file {
        Password::read_file(path).map_err(|error| UsageError(format!("pool.password_file: {error}")))?;
    }
    let read = [
        ("pool.key_file", config.pool.key_file.as_ref().filter(|path| path.exists())),
        ("stratum.v2_authority_key_file", config.stratum_limits.v2_authority_key_file.as_ref()),
    ];
    for (setting, path) in read {
        if let Some(path) = path {
            fs::read(path).map_err(|error| UsageError(format!("{setting}: {}: {error}", path.display())))?;
        }
    }
    Ok(())
}

/// A file can be written there.
fn check_place(path: &Path) -> Result<(), String> {
    if path.is_dir() {
        return Err("is a folder".to_owned());
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if folder.is_dir() { Ok(()) } else { Err(format!("there is no folder {}", folder.display())) }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn refusal(change: impl FnOnce(&mut Config)) -> String {
        let mut config = bq_runtime::load(&bq_runtime::Layers::default()).unwrap().config;
        change(&mut config);
        check(&config).unwrap_err().0
    }

    #[test]
    fn a_wrong_path_is_a_wrong_setting_and_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let (missing, file) = (folder.path().join("missing/file"), folder.path().join("file"));
        fs::write(&file, "no login\n").unwrap();
        let is_folder: Option<PathBuf> = Some(folder.path().to_owned());
        for (told, setting) in [
            (refusal(|config| config.data_dir.clone_from(&file)), "data_dir"),
            (refusal(|config| config.ready_file = Some(missing.clone())), "ready_file"),
            (refusal(|config| config.ready_file.clone_from(&is_folder)), "ready_file"),
            (refusal(|config| config.rpc_login_file = Some(missing.clone())), "rpc_login_file"),
            (refusal(|config| config.rpc_login_file = Some(file.clone())), "rpc_login_file"),
            (refusal(|config| config.pool.password_file = Some(missing.clone())), "pool.password_file"),
            (refusal(|config| config.pool.key_file.clone_from(&is_folder)), "pool.key_file"),
            (
                refusal(|config| config.stratum_limits.v2_authority_key_file = Some(missing.clone())),
                "stratum.v2_authority_key_file",
            ),
        ] {
            assert!(told.starts_with(setting), "{setting}: {told}");
            let path = folder.path().display().to_string();
            assert_eq!(told.matches(&path).count(), 1 + usize::from(told.contains("no folder")), "{told}");
        }
    }
}
