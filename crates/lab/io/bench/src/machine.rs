//! What figures were taken on, as far as Linux tells.

use std::fs;

use bq_miner::fastest_sha256d_kernel;

use super::host::Host;

/// Instructions that decide which code runs.
const FLAGS: [&str; 9] = ["sha_ni", "avx2", "avx512f", "avx512bw", "avx512vl", "aes", "vaes", "bmi2", "hypervisor"];

/// Prints everything that a reader needs to judge or repeat the figures.
pub(super) fn machine(host: &dyn Host) {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu_field = |name| field(&cpu, name).unwrap_or("unknown");
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let flags = cpu_field("flags");
    let flags: Vec<_> = FLAGS.into_iter().filter(|flag| flags.split_whitespace().any(|has| has == *flag)).collect();
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory = |name| field(&meminfo, name).unwrap_or("unknown");
    let built = std::env::var("BQ_BENCH_BUILD").unwrap_or_else(|_| "compiler and commit not given".to_owned());
    host.say(&format!("bq {}, {built}", env!("CARGO_PKG_VERSION")));
    host.say(&format!(
        "{} (family {}, model {}), {cores} threads; {}",
        cpu_field("model name"),
        cpu_field("cpu family"),
        cpu_field("model"),
        flags.join(" ")
    ));
    host.say(&format!("Linux {}, load average {}", text("/proc/sys/kernel/osrelease"), text("/proc/loadavg")));
    host.say(&format!("memory {}, {} available", memory("MemTotal"), memory("MemAvailable")));
    host.say(&format!(
        "huge pages {}, reserved {}, of these free {}",
        text("/sys/kernel/mm/transparent_hugepage/enabled"),
        memory("HugePages_Total"),
        memory("HugePages_Free")
    ));
    host.say(&format!("SHA-256d kernel chosen: {}", fastest_sha256d_kernel().name()));
}

/// Memory that programs could have now.
pub(super) fn available_bytes() -> Option<u64> {
    let meminfo = fs::read_to_string("/proc/meminfo").ok()?;
    field(&meminfo, "MemAvailable")?.strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}

/// The first value of a name in lines of `name : value`.
fn field<'a>(lines: &'a str, name: &str) -> Option<&'a str> {
    lines
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| key.trim() == name)
        .map(|(_, value)| value.trim())
}

fn text(path: &str) -> String {
    fs::read_to_string(path).map_or("unknown".to_owned(), |text| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_their_whole_name() {
        let lines = "cpu family\t: 26\nmodel\t\t: 2\nmodel name\t: AMD EPYC\nmodel\t\t: 3\nMemAvailable:   12 kB\n";
        assert_eq!(field(lines, "model"), Some("2"));
        assert_eq!(field(lines, "model name"), Some("AMD EPYC"));
        assert_eq!(field(lines, "MemAvailable"), Some("12 kB"));
        assert_eq!(field(lines, "Mem"), None);
    }
}
