/// Hashes per second with a unit: `12.3 MH/s`.
#[must_use]
pub fn hashrate_text(hashes_per_second: f64) -> String {
    const UNITS: [&str; 5] = ["H/s", "kH/s", "MH/s", "GH/s", "TH/s"];
    let mut value = hashes_per_second;
    let mut unit = UNITS[0];
    for next in &UNITS[1..] {
        if value < 1000.0 {
            break;
        }
        value /= 1000.0;
        unit = next;
    }
    format!("{value:.1} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashrates_carry_the_largest_unit_that_keeps_them_above_one() {
        assert_eq!(hashrate_text(0.0), "0.0 H/s");
        assert_eq!(hashrate_text(999.9), "999.9 H/s");
        assert_eq!(hashrate_text(32_800_000.0), "32.8 MH/s");
        assert_eq!(hashrate_text(5e15), "5000.0 TH/s");
    }
}
