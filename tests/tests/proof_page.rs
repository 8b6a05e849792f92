//! The verifier of a pool's proofs as a page runs it: built for WebAssembly, under node, with the script of the page, on the vectors that
//! were made from the specification alone. The same vectors under `bq audit verify`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use bq_tests::run_bq;
use serde_json::Value;

const TARGET: &str = "wasm32-wasip1";

/// Calls the page's script for each file that is named, and prints what it says, a line for each.
const CALL: &str = "import { readFileSync } from 'node:fs';
const { verify } = await import('data:text/javascript;base64,' + readFileSync(process.argv[1]).toString('base64'));
const program = readFileSync(process.argv[2]);
for (const file of process.argv.slice(3)) console.log(JSON.stringify(await verify(program, new Uint8Array(readFileSync(file)))));";

/// An export of an account, as a pool gives it out, and what is wrong with it.
struct Export {
    name: String,
    file: PathBuf,
    bytes: Vec<u8>,
    fault: Option<String>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn exports(folder: &Path) -> Result<Vec<Export>> {
    let vectors: Value = serde_json::from_slice(&fs::read(root().join("vectors/pool_proofs.json"))?)?;
    let exports = vectors["account_exports"].as_array().context("account_exports")?;
    let read = |(number, export): (usize, &Value)| {
        let export_bytes = hex::decode(export["export"].as_str().context("export")?)?;
        // Version, kind, content (SPEC 8.10.10).
        let bytes = [&[1, 0], export_bytes.get(1..).context("a version")?].concat();
        let file = folder.join(format!("export-{number}"));
        fs::write(&file, &bytes)?;
        let name = export["name"].as_str().context("name")?.to_owned();
        Ok(Export { name, file, bytes, fault: export["fault"].as_str().map(str::to_owned) })
    };
    exports.iter().enumerate().map(read).collect()
}

/// Wrong only once the chain is asked, which a page does not.
fn is_offline(fault: &str) -> bool {
    fault != "block " && !fault.starts_with("an export of a chain")
}

/// The program, or why this machine cannot build it.
fn program() -> Result<Result<PathBuf, String>> {
    // Asked for again it is there at once; a machine without rustup, or without the way to it, has it or has it not.
    let _ = Command::new("rustup").args(["target", "add", TARGET]).current_dir(root()).output();
    let libraries = Command::new("rustc").args(["--print", "target-libdir", "--target", TARGET]).output()?;
    if !Path::new(String::from_utf8(libraries.stdout)?.trim()).is_dir() {
        return Ok(Err(format!("the standard library for {TARGET} cannot be had")));
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let build = ["build", "--quiet", "--locked", "-p", "bq-proof-page", "--target", TARGET];
    ensure!(Command::new(cargo).args(build).current_dir(root()).status()?.success(), "{TARGET} does not build");
    // target/PROFILE/deps/test-binary.
    let test = std::env::current_exe()?;
    let target = test.ancestors().nth(3).context("a test lies in target/PROFILE/deps")?;
    Ok(Ok(target.join(TARGET).join("debug/bq-proof-page.wasm")))
}

/// What the page's script says of each file, in order.
fn on_a_page(program: &Path, files: &[&Path]) -> Result<Vec<Value>> {
    let mut node = Command::new("node");
    node.args(["--input-type=module", "--eval", CALL]).arg(root().join("web/proof.js")).arg(program).args(files);
    let done = node.output().context("node")?;
    let said = String::from_utf8(done.stdout)?;
    ensure!(done.status.success(), "{said} {}", String::from_utf8_lossy(&done.stderr));
    let said: Vec<Value> = said.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    ensure!(said.len() == files.len(), "{said:?}");
    Ok(said)
}

#[test]
#[expect(clippy::print_stderr, reason = "a machine that cannot build it says so")]
fn a_page_verifies_a_file_and_names_the_first_place_that_is_wrong() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let exports = exports(folder.path())?;
    let program = match program()? {
        Ok(program) => program,
        Err(reason) => {
            eprintln!("NOT RUN: {reason}");
            return Ok(());
        }
    };
    let files: Vec<&Path> = exports.iter().map(|export| export.file.as_path()).collect();
    for (export, said) in exports.iter().zip(on_a_page(&program, &files)?) {
        let wrong = said["wrong"].as_str().unwrap_or_default();
        match export.fault.as_deref().filter(|fault| is_offline(fault)) {
            Some(fault) => ensure!(wrong.contains(fault), "{}: {said}", export.name),
            None => ensure!(
                wrong.is_empty() && said["proved"].is_object() && said["blocks"][0]["id"].is_string(),
                "{}: {said}",
                export.name
            ),
        }
    }
    // One bit at a time. What binds a block's header is the chain alone: then other blocks are to be looked up.
    let good = &exports.first().context("an export")?.bytes;
    let flips: Vec<PathBuf> = (0..64).map(|number| folder.path().join(format!("flip-{number}"))).collect();
    for (number, file) in flips.iter().enumerate() {
        let mut flipped = good.clone();
        flipped[number * good.len() / 64] ^= 1 << (number % 8);
        fs::write(file, flipped)?;
    }
    let files: Vec<&Path> = [exports[0].file.as_path()].into_iter().chain(flips.iter().map(PathBuf::as_path)).collect();
    let said = on_a_page(&program, &files)?;
    let (whole, flipped) = said.split_first().context("said")?;
    ensure!(
        flipped.iter().all(|said| said["blocks"] != whole["blocks"] || said["genesis"] != whole["genesis"]),
        "{flipped:?}"
    );
    ensure!(flipped.iter().filter(|said| said["wrong"].is_string()).count() > 40, "{flipped:?}");
    Ok(())
}

#[test]
fn the_command_names_the_first_place_of_a_file_that_was_cut_reordered_or_mixed() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let exports = exports(folder.path())?;
    for export in &exports {
        let file = export.file.display().to_string();
        let done = run_bq(["audit", "verify", &file])?;
        match export.fault.as_deref().filter(|fault| is_offline(fault)) {
            Some(fault) => ensure!(done.code == Some(1) && done.stderr.contains(fault), "{}: {done:?}", export.name),
            None => ensure!(done.code == Some(0), "{}: {done:?}", export.name),
        }
    }
    for length in [0, 1, 60, exports[0].bytes.len() - 1] {
        let file = folder.path().join("cut").display().to_string();
        fs::write(&file, &exports[0].bytes[..length])?;
        let done = run_bq(["audit", "verify", &file])?;
        ensure!(done.code == Some(1) && !done.stderr.is_empty(), "{length} bytes: {done:?}");
    }
    Ok(())
}
