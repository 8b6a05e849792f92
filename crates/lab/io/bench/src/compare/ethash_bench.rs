//! `ethash-bench` of chfast/ethash, a Google Benchmark program.
//!
//! As published it measures light hashing only. Its full-dataset search and the making of a dataset are compared if the binary
//! has two more items, `search_full` and `dataset_item_1024_walk`; docs/benchmarks.md says what they must do.

use std::path::Path;

use bq_primitives::Algorithm;

use super::{Contender, End, Match, Reading, Rival, Setting, ours::Ours, setup_max};

pub(super) const RIVAL: Rival = Rival { name: "ethash-bench", variable: "BQ_BENCH_ETHASH", matches };

/// Items of 128 bytes in the dataset of epoch 0.
const DATASET_ITEMS: f64 = 8_388_593.0;

fn matches(program: &Path, setting: &Setting) -> Vec<Match> {
    let pair = |work: &'static str, full_dataset: bool, items: String| {
        let seconds = setting.time.as_secs();
        Match {
            work,
            against: RIVAL.name.to_owned(),
            ours: Ours { algorithm: Algorithm::Ethash, threads: 1, time: setting.time, full_dataset }.contender(),
            theirs: Contender {
                program: program.to_owned(),
                arguments: vec![
                    format!("--benchmark_filter=^({items})$"),
                    format!("--benchmark_min_time={seconds}"),
                    "--benchmark_format=csv".to_owned(),
                ],
                threads: 1,
                read,
                setup_max: setup_max(full_dataset),
                end: End::ByItself(setting.time.saturating_mul(4)),
            },
        }
    };
    let threads = setting.threads;
    let full = format!("dataset_item_1024_walk/real_time/threads:{threads}|search_full/real_time/threads:1");
    vec![pair("ethash light", false, "ethash_hash/0".to_owned()), pair("ethash full", true, full)]
}

/// A row: name, iterations, real time, processor time, unit of time, bytes per second, items per second.
fn read(line: &str) -> Option<Reading> {
    let mut fields = line.split(',');
    let name = fields.next()?.trim_matches('"');
    let number = |field: Option<&str>| field?.parse::<f64>().ok().filter(|value| *value > 0.0);
    let real_time = number(fields.nth(1))?;
    let unit_secs = match fields.nth(1)? {
        "ns" => 1e-9,
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        _ => return None,
    };
    let items_per_second = number(fields.nth(1));
    match name.split('/').next()? {
        "ethash_hash" => Some(Reading::Rate(1.0 / (real_time * unit_secs))),
        "search_full" => items_per_second.map(Reading::Rate),
        "dataset_item_1024_walk" => items_per_second.map(|items| Reading::Built(DATASET_ITEMS / items)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recorded_lines() {
        assert_eq!(read("name,iterations,real_time,cpu_time,time_unit,bytes_per_second,items_per_second"), None);
        assert_eq!(read("\"ethash_hash/0\",900,2500,2046,us,,,,,"), Some(Reading::Rate(400.0)));
        let search = "\"search_full/real_time/threads:1\",970,2764,1878,us,,23157,,,";
        assert_eq!(read(search), Some(Reading::Rate(23_157.0)));
        let walk = "\"dataset_item_1024_walk/real_time/threads:2\",30228,97334,47733,ns,,8388593,,,";
        assert_eq!(read(walk), Some(Reading::Built(1.0)));
        assert_eq!(read("\"verify\",900,2500,2046,us,,,,,"), None);
        assert_eq!(read("\"ethash_hash/0\",900,0,0,us,,,,,"), None);
        assert_eq!(read("Failed to match any benchmarks against regex"), None);
        assert_eq!(read(""), None);
    }
}
