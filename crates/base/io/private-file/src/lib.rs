//! Small files that only their owner may read and that no crash leaves half written: keys, certificates, logins, memories.

use std::{
    fs,
    io::{self, Write as _},
    path::Path,
};

/// Writes `bytes` to `path`, readable to its owner only: beside it first (under the ending `.new`), then renamed, so that a crash leaves the
/// old file or the whole new one. Missing folders are made. Blocks on the disk.
///
/// # Errors
/// What the system says; the old file is as it was.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let draft = path.with_extension("new");
    // Made anew: an old draft would keep the permissions that somebody gave it.
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&draft, path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn what_was_there_is_replaced_whole_with_its_permissions() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deeper/key.pem");
        write(&path, b"first").unwrap();
        for open in [path.clone(), path.with_extension("new")] {
            fs::write(&open, "a longer text that was here before").unwrap();
            fs::set_permissions(&open, fs::Permissions::from_mode(0o644)).unwrap();
        }
        write(&path, b"second").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!path.with_extension("new").exists());
    }
}
