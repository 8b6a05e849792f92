//! Reads what the preloaded library wrote down, and makes what power loss would have left at any record of it.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

use crate::luck::Luck;

/// What a disk writes whole or not at all.
const SECTOR_BYTES: usize = 512;

/// One thing that the program did to its files.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    Write { offset: usize, bytes: Vec<u8> },
    SyncBegins(u64),
    SyncEnds(u64),
    Cut(usize),
    Made,
    Removed,
    Renamed(PathBuf),
}

#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) act: Act,
    pub(crate) path: PathBuf,
    /// On the clock that only moves forward.
    pub(crate) time_ns: u64,
}

/// Compiles the library that writes down what a program does; with the same compiler as the program's own C.
pub(crate) fn compile(folder: &Path) -> Result<PathBuf> {
    let (source, library) = (folder.join("write_log.c"), folder.join("write_log.so"));
    fs::write(&source, include_str!("write_log.c"))?;
    let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    let done = Command::new(compiler)
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .arg(&library)
        .arg(&source)
        .arg("-ldl")
        .status()?;
    ensure!(done.success(), "the C compiler: {done}");
    Ok(library)
}

/// The steps in a log. Its end may be torn: the process was killed.
pub(crate) fn read(log: &Path) -> Result<Vec<Step>> {
    let bytes = fs::read(log)?;
    let (mut steps, mut rest) = (Vec::new(), bytes.as_slice());
    while let Some((head, body)) = rest.split_first_chunk::<25>() {
        let number = |from: usize| -> Result<u64> { Ok(u64::from_le_bytes(head[from..from + 8].try_into()?)) };
        let length = |from: usize| -> Result<usize> {
            Ok(usize::try_from(u32::from_le_bytes(head[from..from + 4].try_into()?))?)
        };
        let (path, content) = (length(17)?, length(21)?);
        let Some(data) = body.get(path..path + content) else { break };
        let text = |bytes: &[u8]| -> Result<PathBuf> { Ok(std::str::from_utf8(bytes)?.into()) };
        let at = || -> Result<usize> { Ok(usize::try_from(number(9)?)?) };
        let act = match head[0] {
            1 => Act::Write { offset: at()?, bytes: data.to_vec() },
            2 => Act::SyncBegins(number(9)?),
            3 => Act::SyncEnds(number(9)?),
            4 => Act::Cut(at()?),
            5 => Act::Made,
            6 => Act::Removed,
            7 => Act::Renamed(text(data)?),
            other => anyhow::bail!("no such record: {other}"),
        };
        steps.push(Step { act, path: text(&body[..path])?, time_ns: number(1)? });
        rest = &body[path + content..];
    }
    Ok(steps)
}

/// A change of a file's content that may not be on the platter yet.
#[derive(Clone, Debug)]
enum Change {
    Write(usize, Vec<u8>),
    Cut(usize),
}

/// A change of a folder, likewise.
#[derive(Clone, Debug)]
enum Naming {
    Given(PathBuf, usize),
    Taken(PathBuf),
    /// In one step: a crash leaves the one name or the other.
    Moved(PathBuf, PathBuf, usize),
}

#[derive(Debug, Default)]
struct File {
    synced: Vec<u8>,
    /// Since then, with the number that each has.
    unsynced: Vec<(u64, Change)>,
}

/// The platter, as far as the steps have come.
#[derive(Debug, Default)]
pub(crate) struct Platter {
    files: Vec<File>,
    names: BTreeMap<PathBuf, usize>,
    synced_names: BTreeMap<PathBuf, usize>,
    unsynced_names: Vec<(u64, Naming)>,
    changes: u64,
    /// How many changes there were when a sync began.
    syncs: BTreeMap<u64, u64>,
}

impl Platter {
    /// The next step.
    pub(crate) fn step(&mut self, step: &Step) -> Result<()> {
        self.changes += 1;
        let now = self.changes;
        let path = step.path.clone();
        match &step.act {
            Act::Write { offset, bytes } => self.change(&path, Change::Write(*offset, bytes.clone())),
            Act::Cut(length) => self.change(&path, Change::Cut(*length)),
            Act::Made => {
                self.files.push(File::default());
                let file = self.files.len() - 1;
                self.names.insert(path.clone(), file);
                self.unsynced_names.push((now, Naming::Given(path, file)));
            }
            Act::Removed => {
                self.names.remove(&path);
                self.unsynced_names.push((now, Naming::Taken(path)));
            }
            Act::Renamed(to) => {
                let file = self.names.remove(&path).with_context(|| format!("{} is not there", path.display()))?;
                self.names.insert(to.clone(), file);
                self.unsynced_names.push((now, Naming::Moved(path, to.clone(), file)));
            }
            Act::SyncBegins(number) => {
                self.syncs.insert(*number, now);
            }
            Act::SyncEnds(number) => {
                let until = self.syncs.remove(number).context("a sync that did not begin")?;
                self.synced(&path, until);
            }
        }
        Ok(())
    }

    fn change(&mut self, path: &Path, change: Change) {
        // What has no name any more nobody finds again.
        let Some(file) = self.names.get(path) else { return };
        self.files[*file].unsynced.push((self.changes, change));
    }

    fn synced(&mut self, path: &Path, until: u64) {
        if let Some(file) = self.names.get(path) {
            let File { synced, unsynced } = &mut self.files[*file];
            for (_, change) in unsynced.extract_if(.., |(number, _)| *number < until) {
                apply(synced, &change, |_| true);
            }
            return;
        }
        // A folder.
        let is_in = |naming: &Naming| match naming {
            Naming::Given(name, _) | Naming::Taken(name) | Naming::Moved(_, name, _) => name.parent() == Some(path),
        };
        for (_, naming) in self.unsynced_names.extract_if(.., |(number, naming)| *number < until && is_in(naming)) {
            rename(&mut self.synced_names, naming);
        }
    }

    /// Content of a file as it is on the platter for certain.
    pub(crate) fn synced_files(&self) -> impl Iterator<Item = (&Path, &[u8])> {
        self.synced_names.iter().map(|(path, file)| (path.as_path(), self.files[*file].synced.as_slice()))
    }

    /// Power fails: of what was not synced, any sectors are there; of names, the first so many changes. Written below `to`, in the place of
    /// `from`.
    pub(crate) fn lose_power(&self, luck: &mut Luck, from: &Path, to: &Path) -> Result<()> {
        let mut names = self.synced_names.clone();
        let kept = luck.below(self.unsynced_names.len() + 1);
        for (_, naming) in &self.unsynced_names[..kept] {
            rename(&mut names, naming.clone());
        }
        for (path, file) in names {
            let File { synced, unsynced } = &self.files[file];
            let mut content = synced.clone();
            // Nothing, everything, or what luck says.
            let mood = luck.below(4);
            for (_, change) in unsynced {
                let is_there = match mood {
                    0 => false,
                    1 => true,
                    _ => luck.is(),
                };
                if is_there {
                    apply(&mut content, change, |_| mood != 3 || luck.is());
                }
            }
            let path = to.join(path.strip_prefix(from)?);
            fs::create_dir_all(path.parent().context("a folder")?)?;
            fs::write(path, content)?;
        }
        Ok(())
    }
}

fn rename(names: &mut BTreeMap<PathBuf, usize>, naming: Naming) {
    match naming {
        Naming::Given(path, file) => drop(names.insert(path, file)),
        Naming::Taken(path) => drop(names.remove(&path)),
        Naming::Moved(from, to, file) => {
            names.remove(&from);
            names.insert(to, file);
        }
    }
}

/// Does a change to `content`, of a write those sectors that `is_there` says.
fn apply(content: &mut Vec<u8>, change: &Change, mut is_there: impl FnMut(usize) -> bool) {
    match change {
        Change::Cut(length) => content.resize(*length, 0),
        Change::Write(offset, bytes) => {
            content.resize(content.len().max(offset + bytes.len()), 0);
            let mut at = *offset;
            while at < offset + bytes.len() {
                let end = ((at / SECTOR_BYTES + 1) * SECTOR_BYTES).min(offset + bytes.len());
                if is_there(at / SECTOR_BYTES) {
                    content[at..end].copy_from_slice(&bytes[at - offset..end - offset]);
                }
                at = end;
            }
        }
    }
}
