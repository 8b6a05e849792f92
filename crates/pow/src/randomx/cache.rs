use std::ptr::NonNull;

use super::{
    ffi::{self, RawCache},
    items::{CacheLines, LockStep},
    superscalar::Program,
};
use crate::{PowError, memory::advise_huge_pages};

/// Bytes of a RandomX cache.
pub const RANDOMX_CACHE_BYTES: u64 = 256 << 20;

/// The 256 MiB derived from one key; read-only once built.
pub(crate) struct Cache {
    raw: NonNull<RawCache>,
    lockstep: Option<LockStep>,
}

// SAFETY: the library ties a cache to no thread.
unsafe impl Send for Cache {}
// SAFETY: after `build` the library only reads it (hashing and dataset building share one cache in its own programs).
unsafe impl Sync for Cache {}

impl Cache {
    /// Builds the cache of `key`, about half a second, in the memory of `recycled` if there is one.
    pub(crate) fn build(key: &[u8], recycled: Option<Self>) -> Result<Self, PowError> {
        let mut cache = match recycled {
            Some(cache) => cache,
            None => Self::allocate()?,
        };
        // SAFETY: the cache is live and, being owned here, used by nobody else; `key` is valid for its length.
        unsafe { ffi::randomx_init_cache(cache.raw.as_ptr(), key.as_ptr().cast(), key.len()) };
        cache.lockstep = LockStep::new(cache.lines(), &Program::of_key(key));
        Ok(cache)
    }

    fn allocate() -> Result<Self, PowError> {
        // SAFETY: any combination of flags is allowed.
        let raw = NonNull::new(unsafe { ffi::randomx_alloc_cache(ffi::flags()) })
            .ok_or(PowError::Memory { what: "RandomX cache", bytes: RANDOMX_CACHE_BYTES })?;
        let cache = Self { raw, lockstep: None };
        // SAFETY: the cache holds this many bytes there, none of them in use yet.
        unsafe { advise_huge_pages(cache.memory(), 256 << 20) };
        Ok(cache)
    }

    /// Where the library keeps the 256 MiB. `randomx_cache` is a standard-layout struct (asserted in its header) whose first
    /// member is this pointer; the version is pinned, and a test compares what lies there with the published words.
    fn memory(&self) -> *mut u8 {
        // SAFETY: a pointer to a standard-layout struct points to its first member.
        unsafe { self.raw.as_ptr().cast::<*mut u8>().read() }
    }

    /// What was built.
    pub(super) fn lines(&self) -> &CacheLines {
        // SAFETY: 256 MiB aligned to 64 bytes, initialised by `build`, and never written while `self` is shared.
        unsafe { &*self.memory().cast() }
    }

    /// What computes dataset items faster than the library, where this machine can.
    pub(super) const fn lockstep(&self) -> Option<&LockStep> {
        self.lockstep.as_ref()
    }

    pub(super) const fn as_ptr(&self) -> *mut RawCache {
        self.raw.as_ptr()
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        // SAFETY: allocated by `allocate`, released only here; VMs and builders that use it hold it alive by reference.
        unsafe { ffi::randomx_release_cache(self.raw.as_ptr()) };
    }
}
