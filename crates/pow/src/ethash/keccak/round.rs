/// Defines `permute`, which is Keccak-f[1600] on 25 words of type `Word`, compiled with the given attribute if there is one.
///
/// A macro, because the operations of a vector are functions with `target_feature`, which a trait's methods cannot be. It uses
/// what is in scope where it is expanded: `Word`, `splat`, `xor`, `parity` of five words, `chi` and `rotate`.
///
/// Every index is written out, which lets all 25 lanes live in registers and on the stack without a copy: three times as fast
/// as loops over a table of moves, which the tests do.
macro_rules! define_permute {
    ($(#[$compiled:meta])?) => {
        $(#[$compiled])?
        fn permute(lanes: &mut [Word; 25]) {
            for constant in $crate::ethash::keccak::ROUND_CONSTANTS {
                *lanes = round(lanes, splat(constant));
            }
        }

        #[inline]
        $(#[$compiled])?
        fn round(a: &[Word; 25], constant: Word) -> [Word; 25] {
            let c0 = parity([a[0], a[5], a[10], a[15], a[20]]);
            let c1 = parity([a[1], a[6], a[11], a[16], a[21]]);
            let c2 = parity([a[2], a[7], a[12], a[17], a[22]]);
            let c3 = parity([a[3], a[8], a[13], a[18], a[23]]);
            let c4 = parity([a[4], a[9], a[14], a[19], a[24]]);
            let d0 = xor(c4, rotate::<1>(c1));
            let d1 = xor(c0, rotate::<1>(c2));
            let d2 = xor(c1, rotate::<1>(c3));
            let d3 = xor(c2, rotate::<1>(c4));
            let d4 = xor(c3, rotate::<1>(c0));
            let b00 = xor(a[0], d0);
            let b01 = rotate::<44>(xor(a[6], d1));
            let b02 = rotate::<43>(xor(a[12], d2));
            let b03 = rotate::<21>(xor(a[18], d3));
            let b04 = rotate::<14>(xor(a[24], d4));
            let b10 = rotate::<28>(xor(a[3], d3));
            let b11 = rotate::<20>(xor(a[9], d4));
            let b12 = rotate::<3>(xor(a[10], d0));
            let b13 = rotate::<45>(xor(a[16], d1));
            let b14 = rotate::<61>(xor(a[22], d2));
            let b20 = rotate::<1>(xor(a[1], d1));
            let b21 = rotate::<6>(xor(a[7], d2));
            let b22 = rotate::<25>(xor(a[13], d3));
            let b23 = rotate::<8>(xor(a[19], d4));
            let b24 = rotate::<18>(xor(a[20], d0));
            let b30 = rotate::<27>(xor(a[4], d4));
            let b31 = rotate::<36>(xor(a[5], d0));
            let b32 = rotate::<10>(xor(a[11], d1));
            let b33 = rotate::<15>(xor(a[17], d2));
            let b34 = rotate::<56>(xor(a[23], d3));
            let b40 = rotate::<62>(xor(a[2], d2));
            let b41 = rotate::<55>(xor(a[8], d3));
            let b42 = rotate::<39>(xor(a[14], d4));
            let b43 = rotate::<41>(xor(a[15], d0));
            let b44 = rotate::<2>(xor(a[21], d1));
            [
                xor(chi(b00, b01, b02), constant),
                chi(b01, b02, b03),
                chi(b02, b03, b04),
                chi(b03, b04, b00),
                chi(b04, b00, b01),
                chi(b10, b11, b12),
                chi(b11, b12, b13),
                chi(b12, b13, b14),
                chi(b13, b14, b10),
                chi(b14, b10, b11),
                chi(b20, b21, b22),
                chi(b21, b22, b23),
                chi(b22, b23, b24),
                chi(b23, b24, b20),
                chi(b24, b20, b21),
                chi(b30, b31, b32),
                chi(b31, b32, b33),
                chi(b32, b33, b34),
                chi(b33, b34, b30),
                chi(b34, b30, b31),
                chi(b40, b41, b42),
                chi(b41, b42, b43),
                chi(b42, b43, b44),
                chi(b43, b44, b40),
                chi(b44, b40, b41),
            ]
        }
    };
}
pub(super) use define_permute;
