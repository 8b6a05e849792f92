use std::{
    mem,
    ptr::{self, NonNull},
};

use bq_primitives::PowHash;

use super::Table;
use crate::{
    PowError,
    randomx::ffi::{self, RawVm},
};

/// Bytes of a VM's scratchpad, the bulk of it.
const SCRATCHPAD_BYTES: u64 = 2 << 20;

/// The reference library's virtual machine, on any platform.
pub(in super::super) struct Library {
    raw: NonNull<RawVm>,
    table: Table,
    /// In the middle of a hash.
    begun: bool,
    /// Values of hashes that ended before they were asked for.
    ready: Vec<PowHash>,
}

// SAFETY: the library ties a VM to no thread; all state is reached through `&mut self`.
unsafe impl Send for Library {}

impl Library {
    pub(super) fn new(table: Table) -> Result<Self, PowError> {
        let (flags, cache, dataset) = match &table {
            Table::Light(cache) => (ffi::flags(), cache.as_ptr(), ptr::null_mut()),
            Table::Fast(dataset) => (ffi::flags() | ffi::FLAG_FULL_MEM, ptr::null_mut(), dataset.as_ptr()),
        };
        // SAFETY: the table that the flags call for is given, is built, and lives as long as the VM.
        let raw = unsafe { ffi::randomx_create_vm(flags, cache, dataset) };
        let raw = NonNull::new(raw).ok_or(PowError::Memory { what: "RandomX VM", bytes: SCRATCHPAD_BYTES })?;
        Ok(Self { raw, table, begun: false, ready: Vec::new() })
    }

    pub(super) const fn is_fast(&self) -> bool {
        matches!(self.table, Table::Fast(_))
    }

    pub(super) fn hash(&mut self, input: &[u8]) -> PowHash {
        self.abandon();
        let mut output = [0; 32];
        // SAFETY: `&mut self` makes this the only use of the VM; `input` is valid for its length, `output` has 32 bytes. This
        // call restores the rounding mode itself.
        unsafe {
            ffi::randomx_calculate_hash(
                self.raw.as_ptr(),
                input.as_ptr().cast(),
                input.len(),
                output.as_mut_ptr().cast(),
            );
        }
        PowHash(output)
    }

    /// The library has one hash begun at a time, so those of one call but the last end within it.
    pub(super) fn feed(&mut self, inputs: &[&[u8]]) -> Vec<PowHash> {
        let mut values = mem::take(&mut self.ready);
        for (index, input) in inputs.iter().enumerate() {
            if !mem::replace(&mut self.begun, true) {
                self.begin(input);
            } else if index == 0 {
                values.push(self.finish_and_begin(input));
            } else {
                let value = self.finish_and_begin(input);
                self.ready.push(value);
            }
        }
        values
    }

    pub(super) fn drain(&mut self) -> Vec<PowHash> {
        let mut values = mem::take(&mut self.ready);
        if mem::take(&mut self.begun) {
            values.push(self.finish());
        }
        values
    }

    pub(super) fn abandon(&mut self) {
        self.begun = false;
        self.ready.clear();
    }

    /// Unlike `hash` this leaves the VM in the middle of a hash: `finish_and_begin` or `finish` must follow.
    fn begin(&mut self, input: &[u8]) {
        // SAFETY: as in `hash`; nothing is written to us.
        ffi::keeping_float_environment(|| unsafe {
            ffi::randomx_calculate_hash_first(self.raw.as_ptr(), input.as_ptr().cast(), input.len());
        });
    }

    /// The one's end and the other's start share a pass over the scratchpad.
    fn finish_and_begin(&mut self, next: &[u8]) -> PowHash {
        let mut output = [0; 32];
        // SAFETY: as in `hash`. If no hash was begun the value is meaningless, but every byte it reads is the VM's own.
        ffi::keeping_float_environment(|| unsafe {
            ffi::randomx_calculate_hash_next(
                self.raw.as_ptr(),
                next.as_ptr().cast(),
                next.len(),
                output.as_mut_ptr().cast(),
            );
        });
        PowHash(output)
    }

    fn finish(&mut self) -> PowHash {
        let mut output = [0; 32];
        // SAFETY: as in `finish_and_begin`.
        ffi::keeping_float_environment(|| unsafe {
            ffi::randomx_calculate_hash_last(self.raw.as_ptr(), output.as_mut_ptr().cast());
        });
        PowHash(output)
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        // SAFETY: created by `new`, destroyed only here, before `table` is dropped.
        unsafe { ffi::randomx_destroy_vm(self.raw.as_ptr()) };
    }
}
