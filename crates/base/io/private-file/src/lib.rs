//! Small files that only their owner may read and that no crash leaves half written: keys, certificates, logins, memories.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

/// Writes `bytes` to `path`, readable to its owner only: beside it first (under the ending `.new`), then renamed, so that a crash leaves the
/// old file or the whole new one. Missing folders are made. Blocks on the disk.
///
/// # Errors
/// What the system says; the old file is as it was.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let draft = write_draft(path, bytes)?;
    fs::rename(&draft, path)
}

/// Whether [`write()`] of so many bytes would be well now: does all of it but the last step, and leaves nothing. Blocks on the disk.
///
/// # Errors
/// Those of [`write()`].
pub fn rehearse(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if fs::symlink_metadata(path).is_ok_and(|found| found.is_dir()) {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    let draft = write_draft(path, bytes);
    // What could be written only in part takes no room either.
    let removed = fs::remove_file(path.with_extension("new"));
    draft.and(removed)
}

fn write_draft(path: &Path, bytes: &[u8]) -> io::Result<PathBuf> {
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
    Ok(draft)
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

    #[test]
    fn a_rehearsal_finds_what_would_fail_and_leaves_all_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("login");
        let names = || fs::read_dir(folder.path()).unwrap().count();
        rehearse(&path, b"would be").unwrap();
        assert_eq!(names(), 0);
        fs::write(&path, b"is").unwrap();
        rehearse(&path, b"would be").unwrap();
        assert_eq!((fs::read(&path).unwrap(), names()), (b"is".to_vec(), 1));
        fs::remove_file(&path).unwrap();
        // Neither a folder in its place nor one in that of its draft can be written over.
        for in_the_way in [path.clone(), path.with_extension("new")] {
            fs::create_dir(&in_the_way).unwrap();
            assert!(rehearse(&path, b"would be").is_err() && write(&path, b"would be").is_err());
            fs::remove_dir(&in_the_way).unwrap();
            // What could not take its place stays as a draft.
            let _there_may_be_none = fs::remove_file(path.with_extension("new"));
        }
    }
}
