//! `bq sim` from the command line.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::{
    path::Path,
    process::{Command, Output},
};

fn sim(arguments: &[&str], out: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bq"));
    command.arg("sim").args(arguments).arg("--out").arg(out).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn folder(name: &str) -> std::path::PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&folder);
    folder
}

#[test]
fn one_scenario_makes_a_table_and_three_files() {
    let out = folder("sim-one");
    let done = sim(&["--scenario", "drop-1", "--seed", "5", "--blocks", "500"], &out);
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
    let table = text(&done.stdout);
    assert!(table.starts_with("scenario") && table.contains("drop-1") && table.contains("mean_secs"), "{table}");
    assert_eq!(text(&done.stderr), "1/1 drop-1\n", "no terminal, so plain lines");
    let csv = std::fs::read_to_string(out.join("drop-1-5.csv")).unwrap();
    assert_eq!(csv.lines().count(), 501);
    assert!(std::fs::read_to_string(out.join("drop-1-5.svg")).unwrap().contains("<polyline"));
    assert!(std::fs::read_to_string(out.join("summary.csv")).unwrap().contains("drop-1,5,recovery_blocks,"));
}

#[test]
fn jobs_do_not_change_what_comes_out() {
    let runs = [("sim-1", "1"), ("sim-4", "4")].map(|(name, jobs)| {
        let out = folder(name);
        let done = sim(&["--blocks", "150", "--jobs", jobs], &out);
        assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
        (text(&done.stdout), std::fs::read(out.join("summary.csv")).unwrap())
    });
    assert_eq!(runs[0], runs[1]);
}

#[test]
fn an_unknown_scenario_is_a_usage_error_that_names_the_known() {
    let done = sim(&["--scenario", "nope"], &folder("sim-none"));
    assert_eq!(done.status.code(), Some(2));
    assert!(text(&done.stderr).contains("--scenario nope: known are all, steady-1"), "{}", text(&done.stderr));
}
