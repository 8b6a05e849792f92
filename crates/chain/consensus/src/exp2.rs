use bq_primitives::U256;
use ruint::aliases::U512;

/// `floor(2^63 * 2^(2^-i))` for i = 1..=32: the factors of 2^x for each bit of a 32-bit fraction x (SPEC 3.2).
pub const EXP2_FACTORS: [u64; 32] = [
    0xb504_f333_f9de_6484,
    0x9837_f051_8db8_a96f,
    0x8b95_c1e3_ea8b_d6e6,
    0x85aa_c367_cc48_7b14,
    0x82cd_8698_ac2b_a1d7,
    0x8164_d1f3_bc03_0773,
    0x80b1_ed4f_d999_ab6c,
    0x8058_d7d2_d5e5_f6b0,
    0x802c_6436_d0e0_4f50,
    0x8016_302f_1746_7628,
    0x800b_179c_8202_8fd0,
    0x8005_8baf_7fee_3b5d,
    0x8002_c5d0_0fdc_fcb6,
    0x8001_62e6_1bed_4a48,
    0x8000_b172_92f7_02a3,
    0x8000_58b9_2abb_ae02,
    0x8000_2c5c_8dad_e4d7,
    0x8000_162e_44ea_f636,
    0x8000_0b17_21fa_7c18,
    0x8000_058b_90de_7e4c,
    0x8000_02c5_c867_8f36,
    0x8000_0162_e431_db9f,
    0x8000_00b1_7218_72d0,
    0x8000_0058_b90c_1aa8,
    0x8000_002c_5c86_05a4,
    0x8000_0016_2e43_00e6,
    0x8000_000b_1721_7ff8,
    0x8000_0005_8b90_bfdd,
    0x8000_0002_c5c8_5fe6,
    0x8000_0001_62e4_2ff1,
    0x8000_0000_b172_17f8,
    0x8000_0000_58b9_0bfc,
];

/// The exponent of a schedule lag, in units of 2^-32: `floor(lag * 2^32 / half_life)`, rounded toward minus infinity
/// (SPEC 3.2). Rounding toward zero would ease a chain that is ahead of schedule by up to one unit.
#[must_use]
pub fn schedule_exponent(lag_secs: i64, half_life: u32) -> i128 {
    // An i64 shifted by 32 always fits an i128, and a half-life of zero is refused at start-up.
    i128::from(lag_secs).saturating_mul(1 << 32).checked_div_euclid(i128::from(half_life)).unwrap_or(0)
}

/// `target * 2^(exponent / 2^32)` in integers, saturating at 2^256 - 1 (SPEC 3.2). Never off by more than 1.2e-10 of
/// itself before it is truncated, and the same on every machine.
#[must_use]
pub fn mul_exp2(target: U256, exponent: i128) -> U256 {
    let fraction = u32::try_from(exponent & 0xffff_ffff).unwrap_or(0);
    // At most 256 + 34 bits.
    let product = U512::from(target).saturating_mul(U512::from(exp2_fraction(fraction)));
    let shift = (exponent >> 32).saturating_sub(32);
    let distance = usize::try_from(shift.unsigned_abs()).unwrap_or(usize::MAX);
    if shift < 0 {
        U256::saturating_from(product.wrapping_shr(distance))
    } else if product.bit_len().saturating_add(distance) > 256 {
        U256::MAX
    } else {
        U256::saturating_from(product.wrapping_shl(distance))
    }
}

/// `2^32 * 2^(fraction / 2^32)`, between 2^32 and 2^33 (SPEC 3.2). The factors are multiplied from the most significant
/// bit down: each product is truncated, so the order is part of the rule.
#[must_use]
pub fn exp2_fraction(fraction: u32) -> u64 {
    let mut product: u64 = 1 << 63;
    let mut mask: u32 = 1 << 31;
    for factor in EXP2_FACTORS {
        if fraction & mask != 0 {
            let wide = u128::from(product).saturating_mul(u128::from(factor)) >> 63;
            // The product of all factors is below 2, so it stays below 2^64 in this scale.
            product = u64::try_from(wide).unwrap_or(u64::MAX);
        }
        mask >>= 1;
    }
    let rounded = u128::from(product).saturating_add(1 << 30) >> 31;
    u64::try_from(rounded).unwrap_or(u64::MAX)
}
