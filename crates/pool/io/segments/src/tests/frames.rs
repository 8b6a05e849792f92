use bq_mining_message::{BootEpoch, FrameDigest, FrameHeader};

use super::*;
use crate::FrameFault;

fn frames(log: &ShareLog, from: u32, upto: u32) -> Vec<FrameHeader> {
    log.frames(sequence(from), BootEpoch(1), sequence(upto)).map(|frame| frame.expect("readable")).collect()
}

#[test]
fn cutting_frames_of_new_shares_reads_no_file() {
    let disk = MemoryDisk::default();
    let log = open_with(&disk, 1, options()).expect("empty");
    fill(&log, 1..=600);
    let whole = frames(&log, 1, 601);
    assert_eq!(whole.iter().map(|frame| frame.count).collect::<Vec<_>>(), [256, 256, 88]);
    disk.lose(&path_of(1));
    // From memory, as often as wanted, also in other pieces.
    assert_eq!(frames(&log, 1, 601), whole);
    assert_eq!(frames(&log, 257, 513), whole[1..2]);
    let live: Vec<_> = log.frames(sequence(1), BootEpoch(1), sequence(601)).collect();
    assert!(matches!(live[..], [Err(ReadError::Io { .. })]), "what was cut is not kept");
}

#[test]
fn frames_of_old_shares_are_cut_from_the_files() {
    let disk = MemoryDisk::default();
    let log = open_with(&disk, 1, LogOptions { segment_shares_max: 100, leaves_max: 10, ..options() }).expect("empty");
    fill(&log, 1..=300);
    let cut = frames(&log, 1, 301);
    assert_eq!(cut.iter().map(|frame| frame.count).collect::<Vec<_>>(), [256, 44]);
    assert_eq!(cut[0].digest, FrameDigest::of(&(1..=256).map(share).collect::<Vec<_>>()));
    drop(log);
    assert_eq!(frames(&open_with(&disk, 301, options()).expect("whole"), 1, 1000), cut);
}

#[test]
fn verifying_finds_the_frame_that_is_not_borne_out() {
    let disk = filled(10);
    let log = open(&disk).expect("whole");
    let frame = |from, upto| frames(&log, from, upto)[0];
    let good = [frame(1, 5), frame(5, 8), frame(8, 11)];
    log.verify(good).expect("borne out");
    let verify = |frame| log.verify([good[0], frame, good[2]]).map_err(|unproven| (unproven.frame, unproven.fault));
    for bad in [
        FrameHeader { digest: FrameDigest([1; 32]), ..good[1] },
        FrameHeader { first: sequence(4), ..good[1] },
        FrameHeader { count: 2, ..good[1] },
    ] {
        assert!(matches!(verify(bad), Err((frame, FrameFault::Digest { .. })) if frame == bad));
    }
    for bad in [
        FrameHeader { count: 0, ..good[1] },
        FrameHeader { count: 257, ..good[1] },
        FrameHeader { front_end: FrontEndId(9), ..good[1] },
    ] {
        assert!(matches!(verify(bad), Err((frame, FrameFault::Shape)) if frame == bad));
    }
    let beyond = FrameHeader { count: 4, ..good[2] };
    assert!(matches!(verify(beyond), Err((frame, FrameFault::Absent(ShareSequence(11)))) if frame == beyond));

    disk.flip(&path_of(4), 150, 1);
    assert!(matches!(verify(good[1]), Err((frame, FrameFault::Read(_))) if frame == good[0]));
}
