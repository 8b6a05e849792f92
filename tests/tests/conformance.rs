//! `bq conformance`: published vectors pass, and files that lie do not.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use bq_tests::run_bq;
use serde_json::Value;

fn vectors() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors")
}

fn vector_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(vector_files(&path)?);
        } else if path.extension().is_none_or(|extension| extension != "md") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn conformance(file: &Path) -> Result<(Option<i32>, String)> {
    let finished = run_bq(["conformance".as_ref(), file.as_os_str()])?;
    Ok((finished.code, finished.stdout + &finished.stderr))
}

#[test]
fn every_published_file_passes() -> Result<()> {
    let files = vector_files(&vectors())?;
    assert!(files.len() >= 10, "{files:?}");
    for file in &files {
        let (code, text) = conformance(file)?;
        assert_eq!(code, Some(0), "{}: {text}", file.display());
    }
    Ok(())
}

/// Copies a file with one value changed.
fn mutated(folder: &Path, name: &str, mutate: impl Fn(&mut Value) -> Option<()>) -> Result<PathBuf> {
    let text = std::fs::read_to_string(vectors().join(name))?;
    let mut file: Value = serde_json::from_str(&text)?;
    mutate(&mut file).with_context(|| format!("{name} has no such value"))?;
    let path = folder.join(name);
    std::fs::write(&path, file.to_string())?;
    Ok(path)
}

#[test]
fn one_changed_value_fails_and_is_named() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let first_case = |file: &mut Value, field: &str, value: &str| {
        *file.get_mut("cases")?.get_mut(0)?.get_mut(field)? = Value::from(value);
        Some(())
    };
    let zeros = "00".repeat(32);
    let files = [
        mutated(folder.path(), "bqip0002_seals.json", |file| first_case(file, "block_id", &zeros))?,
        mutated(folder.path(), "ethash.json", |file| {
            *file.get_mut("hashimoto")?.get_mut(0)?.get_mut("mix_hash")? = Value::from(zeros.as_str());
            Some(())
        })?,
        mutated(folder.path(), "bqip0002_chain_1.json", |file| {
            *file.get_mut("blocks")?.get_mut(700)?.get_mut("weight")? = Value::from("0x1");
            Some(())
        })?,
    ];
    for file in &files {
        let (code, text) = conformance(file)?;
        assert_eq!(code, Some(1), "{}: {text}", file.display());
        let name = file.file_name().and_then(|name| name.to_str()).context("file name")?;
        assert!(text.contains(name), "{text}");
    }
    Ok(())
}

#[test]
fn files_that_cannot_be_judged_never_pass() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let write = |name: &str, text: &str| -> Result<PathBuf> {
        let path = folder.path().join(name);
        std::fs::write(&path, text)?;
        Ok(path)
    };
    let files = [
        write("unknown_kind.json", r#"{"kind":"moon_phases","cases":[]}"#)?,
        write("not_json.json", "hello")?,
        write("empty.json", "")?,
        write("no_cases.json", r#"{"kind":"bqip0002_seals","cases":[]}"#)?,
        folder.path().join("missing.json"),
    ];
    for file in &files {
        let (code, text) = conformance(file)?;
        assert!(matches!(code, Some(1 | 2)), "{}: {code:?} {text}", file.display());
        let name = file.file_name().and_then(|name| name.to_str()).context("file name")?;
        assert!(text.contains(name), "{text}");
    }
    let finished = run_bq(["conformance"])?;
    assert_eq!(finished.code, Some(2), "a command without files is a usage error");
    Ok(())
}
