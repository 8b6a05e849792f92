use std::{
    ptr::{self, NonNull},
    sync::Arc,
};

use bq_primitives::PowHash;

use super::super::{
    cache::Cache,
    dataset::Dataset,
    ffi::{self, RawVm},
};
use crate::PowError;

/// Bytes of a VM's scratchpad, the bulk of it.
const SCRATCHPAD_BYTES: u64 = 2 << 20;

/// What a VM reads: kept alive by it.
#[derive(Clone)]
pub(in super::super) enum Table {
    /// Light mode.
    Light(Arc<Cache>),
    /// Fast mode.
    Fast(Arc<Dataset>),
}

/// A virtual machine. One thread at a time, any thread: `Send` and not `Sync`.
pub(in super::super) struct Vm {
    raw: NonNull<RawVm>,
    table: Table,
}

// SAFETY: the library ties a VM to no thread; all state is reached through `&mut self`.
unsafe impl Send for Vm {}

impl Vm {
    pub(in super::super) fn new(table: Table) -> Result<Self, PowError> {
        let (flags, cache, dataset) = match &table {
            Table::Light(cache) => (ffi::flags(), cache.as_ptr(), ptr::null_mut()),
            Table::Fast(dataset) => (ffi::flags() | ffi::FLAG_FULL_MEM, ptr::null_mut(), dataset.as_ptr()),
        };
        // SAFETY: the table that the flags call for is given, is built, and lives as long as the VM.
        let raw = unsafe { ffi::randomx_create_vm(flags, cache, dataset) };
        let raw = NonNull::new(raw).ok_or(PowError::Memory { what: "RandomX VM", bytes: SCRATCHPAD_BYTES })?;
        Ok(Self { raw, table })
    }

    pub(in super::super) const fn is_fast(&self) -> bool {
        matches!(self.table, Table::Fast(_))
    }

    /// One hash from start to end.
    pub(in super::super) fn hash(&mut self, input: &[u8]) -> PowHash {
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

    /// Begins a hash. Unlike `hash` this leaves the VM in the middle of one: `finish_and_begin` or `finish` must follow.
    pub(in super::super) fn begin(&mut self, input: &[u8]) {
        // SAFETY: as in `hash`; nothing is written to us.
        ffi::keeping_float_environment(|| unsafe {
            ffi::randomx_calculate_hash_first(self.raw.as_ptr(), input.as_ptr().cast(), input.len());
        });
    }

    /// Ends the hash that was begun and begins that of `next`: the one's end and the other's start share a pass over the
    /// scratchpad.
    pub(in super::super) fn finish_and_begin(&mut self, next: &[u8]) -> PowHash {
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

    /// Ends the hash that was begun.
    pub(in super::super) fn finish(&mut self) -> PowHash {
        let mut output = [0; 32];
        // SAFETY: as in `finish_and_begin`.
        ffi::keeping_float_environment(|| unsafe {
            ffi::randomx_calculate_hash_last(self.raw.as_ptr(), output.as_mut_ptr().cast());
        });
        PowHash(output)
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        // SAFETY: created by `new`, destroyed only here, before `table` is dropped.
        unsafe { ffi::randomx_destroy_vm(self.raw.as_ptr()) };
    }
}
