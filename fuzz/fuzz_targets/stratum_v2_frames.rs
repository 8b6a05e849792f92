//! Plain bytes of a V2 connection, cut into frames.
#![no_main]

use bq_stratum_v2::{FRAME_BYTES_MAX, FrameBuffer, HEADER_BYTES};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u16, &[u8])| {
    let (chunk, data) = input;
    let chunk = usize::from(chunk % 2_000) + 1;
    let mut buffer = FrameBuffer::default();
    let mut seen = Vec::new();
    for bytes in data.chunks(chunk) {
        buffer.push(bytes);
        loop {
            match buffer.next_frame() {
                Ok(Some(frame)) => {
                    assert!((HEADER_BYTES..=HEADER_BYTES + FRAME_BYTES_MAX).contains(&frame.len()));
                    seen.extend_from_slice(frame);
                }
                Ok(None) => break,
                Err(_) => return,
            }
        }
        assert!(buffer.capacity() <= 4 * FRAME_BYTES_MAX);
    }
    assert!(data.starts_with(&seen), "nothing is lost, nothing is made up");
});
