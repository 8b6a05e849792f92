//! Bytes of a socket, cut into lines.
#![no_main]

use bq_stratum_v1::{LINE_BYTES_MAX, LineBuffer};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u16, &[u8])| {
    let (chunk, data) = input;
    let chunk = usize::from(chunk % 2_000) + 1;
    let mut buffer = LineBuffer::default();
    let mut lines: Vec<Vec<u8>> = Vec::new();
    for bytes in data.chunks(chunk) {
        buffer.push(bytes);
        loop {
            match buffer.next_line() {
                Ok(Some(line)) => lines.push(line.to_vec()),
                Ok(None) => break,
                Err(_) => return,
            }
        }
        assert!(buffer.capacity() <= 4 * LINE_BYTES_MAX);
    }
    let mut expected: Vec<&[u8]> = data.split(|byte| *byte == b'\n').collect();
    expected.pop();
    let expected: Vec<&[u8]> = expected.into_iter().map(|line| line.strip_suffix(b"\r").unwrap_or(line)).collect();
    assert_eq!(lines, expected);
});
