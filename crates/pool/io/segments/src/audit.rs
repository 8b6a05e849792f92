use bq_mining_message::{FRAME_SHARES_MAX, FrameDigest, FrameHeader, ShareSequence};

use crate::{ReadError, ShareLog, cursor::Cursor};

/// A frame that the log does not bear out.
#[derive(Debug, thiserror::Error)]
#[error("frame of {count} shares from {first} of front end {front_end}: {fault}", count = frame.count, first = frame.first, front_end = frame.front_end)]
pub struct UnprovenFrame {
    /// The frame.
    pub frame: FrameHeader,
    /// Why not.
    pub fault: FrameFault,
}

/// Why a log does not bear a frame out.
#[derive(Debug, thiserror::Error)]
pub enum FrameFault {
    /// The shares are others.
    #[error("the shares have another digest")]
    Digest {
        /// What the shares in the log have.
        got: FrameDigest,
    },
    /// No log holds such a frame.
    #[error("no frame of this log has so many shares, or this front end")]
    Shape,
    /// A share is forfeited or the log ends before it.
    #[error("share {0} is not in the log")]
    Absent(ShareSequence),
    /// A share could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl ShareLog {
    /// Computes the digests of frames again from the files. Fastest with frames in order.
    ///
    /// # Errors
    /// [`UnprovenFrame`]: the first that is not borne out.
    pub fn verify(&self, frames: impl IntoIterator<Item = FrameHeader>) -> Result<(), UnprovenFrame> {
        let mut cursor = Cursor::new(&self.shared);
        for frame in frames {
            self.verify_frame(&mut cursor, &frame).map_err(|fault| UnprovenFrame { frame, fault })?;
        }
        Ok(())
    }

    fn verify_frame(&self, cursor: &mut Cursor, frame: &FrameHeader) -> Result<(), FrameFault> {
        let count = usize::from(frame.count);
        if frame.front_end != self.shared.identity.front_end || count == 0 || count > FRAME_SHARES_MAX {
            return Err(FrameFault::Shape);
        }
        let mut leaves = Vec::with_capacity(count);
        for place in 0..u64::from(frame.count) {
            let at = frame.first.after(place);
            leaves.push(cursor.share(at)?.ok_or(FrameFault::Absent(at))?.leaf());
        }
        let got = FrameDigest::of_leaves(leaves);
        if got == frame.digest { Ok(()) } else { Err(FrameFault::Digest { got }) }
    }
}
