//! The documents say what the tree is: every path and function in ARCHITECTURE.md's tables exists, every crate is on it, and every
//! threat names tests that are there.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The rows of the table under a heading, each as its cells; without head and rule.
fn table(text: &str, heading: &str) -> Result<Vec<Vec<String>>> {
    let (_, section) =
        text.split_once(&format!("\n## {heading}\n")).with_context(|| format!("no section {heading}"))?;
    let section = section.split("\n## ").next().unwrap_or_default();
    let rows = section.lines().filter(|line| line.starts_with('|')).skip(2);
    let cells = |row: &str| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
    let rows: Vec<Vec<String>> = rows.map(cells).collect();
    ensure!(!rows.is_empty(), "no table under {heading}");
    Ok(rows)
}

/// What stands between backticks.
fn names(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// Functions are written `name()` in front of the file that holds them: `one()` and `two()` in `path`.
fn check_cell(cell: &str) -> Result<()> {
    let mut functions = Vec::new();
    for name in names(cell) {
        if let Some(function) = name.strip_suffix("()") {
            functions.push(function);
            continue;
        }
        let path = root().join(name);
        ensure!(path.exists(), "{name} does not exist");
        if functions.is_empty() {
            continue;
        }
        let source = std::fs::read_to_string(&path).with_context(|| name.to_owned())?;
        for function in functions.drain(..) {
            let is_there =
                [format!("fn {function}("), format!("fn {function}<")].iter().any(|text| source.contains(text));
            ensure!(is_there, "{name} has no function {function}");
        }
    }
    ensure!(functions.is_empty(), "{functions:?} without a file");
    Ok(())
}

#[test]
fn every_rule_is_where_the_map_says() -> Result<()> {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md"))?;
    for row in table(&text, "Where a rule is")? {
        let [question, places @ ..] = row.as_slice() else { continue };
        ensure!(places.len() == 2, "{question}: {row:?}");
        for cell in places {
            ensure!(names(cell).next().is_some(), "{question}: nowhere");
            check_cell(cell).with_context(|| question.clone())?;
        }
    }
    Ok(())
}

#[test]
fn every_crate_is_on_the_map_and_nothing_else() -> Result<()> {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md"))?;
    let rows = table(&text, "Code map")?;
    let mapped: Vec<&str> = rows.iter().filter_map(|row| names(row.first()?).next()).collect();
    for name in &mapped {
        ensure!(root().join(name).exists(), "{name} does not exist");
    }
    let manifest = std::fs::read_to_string(root().join("Cargo.toml"))?;
    let (_, members) = manifest.split_once("members = [").context("no members")?;
    let members = members.split(']').next().unwrap_or_default();
    for member in members.split('"').skip(1).step_by(2) {
        ensure!(mapped.contains(&member), "{member} is not on the map");
    }
    Ok(())
}

/// Every Rust file below `folder`.
fn sources(folder: &Path, texts: &mut Vec<String>) -> Result<()> {
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            sources(&path, texts)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            texts.push(std::fs::read_to_string(&path)?);
        }
    }
    Ok(())
}

#[test]
fn every_threat_has_a_test() -> Result<()> {
    let text = std::fs::read_to_string(root().join("docs/threats.md"))?;
    let mut texts = Vec::new();
    sources(&root().join("crates"), &mut texts)?;
    sources(&root().join("tests/tests"), &mut texts)?;
    let headings = [
        "Taking what others earned",
        "Making the pool work for nothing",
        "Being somebody else",
        "Keeping others out",
        "What a pool may try on `bq miner`",
    ];
    for heading in headings {
        for row in table(&text, heading)? {
            let [threat, _, tests, figure] = row.as_slice() else { anyhow::bail!("{row:?}") };
            ensure!(!figure.is_empty() && names(tests).next().is_some(), "{threat}: without test or figure");
            for test in names(tests) {
                let is_there = texts.iter().any(|source| source.contains(&format!("fn {test}(")));
                ensure!(is_there, "{threat}: there is no test {test}");
            }
        }
    }
    Ok(())
}

#[test]
fn a_wrong_map_is_noticed() -> Result<()> {
    let here = "tests/tests/documents.rs";
    check_cell(&format!("`table()` and `names()` in `{here}`"))?;
    ensure!(check_cell(&format!("`no_such_thing()` in `{here}`")).is_err(), "a missing function");
    ensure!(check_cell("`table()` in `tests/tests/no_such_file.rs`").is_err(), "a missing file");
    ensure!(check_cell("`table()`").is_err(), "a function without a file");
    ensure!(table("# Page\n## Empty\n\n## Next\n", "Empty").is_err(), "a missing table");
    Ok(())
}
