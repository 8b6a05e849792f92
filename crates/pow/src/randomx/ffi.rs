//! The C interface of the RandomX library (its `randomx.h`), as linked by the `randomx-rs` crate. We use that crate for its
//! build alone: its safe interface cannot split a dataset between threads, and allocates a vector for each hash.

use std::{
    ffi::{c_int, c_ulong, c_void},
    marker::{PhantomData, PhantomPinned},
};

// Links the library.
use randomx_rs as _;

pub(super) const FLAG_FULL_MEM: c_int = 4;

/// A type that exists only behind pointers.
macro_rules! opaque {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[repr(C)]
        pub(super) struct $name {
            _bytes: [u8; 0],
            _not_send_sync_or_unpin: PhantomData<(*mut u8, PhantomPinned)>,
        }
    )+};
}

opaque! {
    /// `randomx_cache`.
    RawCache,
    /// `randomx_dataset`.
    RawDataset,
    /// `randomx_vm`.
    RawVm,
}

unsafe extern "C" {
    pub(super) fn randomx_get_flags() -> c_int;
    pub(super) fn randomx_alloc_cache(flags: c_int) -> *mut RawCache;
    pub(super) fn randomx_init_cache(cache: *mut RawCache, key: *const c_void, key_bytes: usize);
    pub(super) fn randomx_release_cache(cache: *mut RawCache);
    pub(super) fn randomx_alloc_dataset(flags: c_int) -> *mut RawDataset;
    pub(super) fn randomx_dataset_item_count() -> c_ulong;
    pub(super) fn randomx_init_dataset(
        dataset: *mut RawDataset,
        cache: *mut RawCache,
        first_item: c_ulong,
        item_count: c_ulong,
    );
    pub(super) fn randomx_get_dataset_memory(dataset: *mut RawDataset) -> *mut c_void;
    pub(super) fn randomx_release_dataset(dataset: *mut RawDataset);
    pub(super) fn randomx_create_vm(flags: c_int, cache: *mut RawCache, dataset: *mut RawDataset) -> *mut RawVm;
    pub(super) fn randomx_destroy_vm(vm: *mut RawVm);
    pub(super) fn randomx_calculate_hash(vm: *mut RawVm, input: *const c_void, input_bytes: usize, output: *mut c_void);
    pub(super) fn randomx_calculate_hash_first(vm: *mut RawVm, input: *const c_void, input_bytes: usize);
    pub(super) fn randomx_calculate_hash_next(
        vm: *mut RawVm,
        next_input: *const c_void,
        next_input_bytes: usize,
        output: *mut c_void,
    );
    pub(super) fn randomx_calculate_hash_last(vm: *mut RawVm, output: *mut c_void);

    /// C99 `<fenv.h>`: saves and restores rounding mode and floating-point control bits.
    fn fegetenv(environment: *mut FloatEnvironment) -> c_int;
    fn fesetenv(environment: *const FloatEnvironment) -> c_int;
}

/// Room for any platform's `fenv_t` (32 bytes on x86-64, 8 on AArch64).
#[repr(C, align(16))]
struct FloatEnvironment([u8; 256]);

/// Runs `call`, which may leave another floating-point rounding mode behind, as the pipelined hash functions do. Rust code
/// must only ever run in the default one.
pub(super) fn keeping_float_environment<T>(call: impl FnOnce() -> T) -> T {
    let mut saved = FloatEnvironment([0; 256]);
    // SAFETY: the buffer is larger and at least as aligned as every `fenv_t` we build for.
    unsafe { fegetenv(&raw mut saved) };
    let value = call();
    // SAFETY: filled by `fegetenv` above on this same thread.
    unsafe { fesetenv(&raw const saved) };
    value
}

/// What this CPU can do: JIT, hardware AES, the fastest Argon2.
pub(super) fn flags() -> c_int {
    // SAFETY: takes nothing, looks at the CPU only.
    unsafe { randomx_get_flags() }
}
