//! The few driver calls that we make, as values that clean up after themselves. No call panics: cudarc does where the
//! library or one of its functions is missing, so both are looked for before the first call.

use std::{
    ffi::{CString, c_char, c_int, c_uint, c_void},
    sync::{Arc, OnceLock},
};

use cudarc::driver::{
    result::{self, DriverError},
    sys::{self, CUdevice_attribute, CUresult},
};

use super::GpuError;

/// All functions that this file calls, directly or through cudarc.
const SYMBOLS: [&str; 22] = [
    "cuInit",
    "cuGetErrorString",
    "cuDeviceGetCount",
    "cuDeviceGet",
    "cuDeviceGetName",
    "cuDeviceTotalMem_v2",
    "cuDeviceGetAttribute",
    "cuDevicePrimaryCtxSetFlags_v2",
    "cuDevicePrimaryCtxRetain",
    "cuDevicePrimaryCtxRelease_v2",
    "cuCtxSetCurrent",
    "cuCtxSynchronize",
    "cuModuleLoadData",
    "cuModuleGetFunction",
    "cuModuleUnload",
    "cuMemGetInfo_v2",
    "cuMemAlloc_v2",
    "cuMemFree_v2",
    "cuMemcpyHtoD_v2",
    "cuMemcpyDtoH_v2",
    "cuMemsetD8_v2",
    "cuLaunchKernel",
];

/// A loaded and initialised driver.
#[derive(Clone, Copy, Debug)]
pub(super) struct Driver(());

impl Driver {
    /// Loads the driver the first time, and says ever after what came of it.
    pub(super) fn load() -> Result<Self, GpuError> {
        static LOADED: OnceLock<Result<Driver, GpuError>> = OnceLock::new();
        LOADED.get_or_init(Self::try_load).clone()
    }

    fn try_load() -> Result<Self, GpuError> {
        // SAFETY: this runs the initialisers of the CUDA driver, which are made for being loaded by any program.
        if !unsafe { sys::is_culib_present() } {
            return Err(GpuError::NoDriver);
        }
        // SAFETY: as above; the library was there a moment ago.
        let library = unsafe { sys::culib() };
        for symbol in SYMBOLS {
            // SAFETY: the symbol is only looked for, as an address that nobody reads or calls.
            if unsafe { library.get::<*const c_void>(symbol.as_bytes()) }.is_err() {
                return Err(GpuError::OldDriver { symbol });
            }
        }
        match result::init() {
            Err(DriverError(CUresult::CUDA_ERROR_NO_DEVICE)) => Err(GpuError::NoDevice),
            done => checked("cuInit", done).map(|()| Self(())),
        }
    }

    /// How many GPUs there are; not zero.
    pub(super) fn count(self) -> Result<usize, GpuError> {
        match usize::try_from(checked("cuDeviceGetCount", result::device::get_count())?) {
            Ok(count) if count > 0 => Ok(count),
            _ => Err(GpuError::NoDevice),
        }
    }

    /// The GPU of that number.
    pub(super) fn device(self, index: usize) -> Result<Device, GpuError> {
        let count = self.count()?;
        let ordinal = c_int::try_from(index).ok().filter(|_| index < count);
        let ordinal = ordinal.ok_or(GpuError::NoSuchDevice { got: index, count })?;
        checked("cuDeviceGet", result::device::get(ordinal)).map(Device)
    }
}

/// A GPU as the driver lists it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Device(sys::CUdevice);

impl Device {
    pub(super) fn name(self) -> Result<String, GpuError> {
        let mut name = [0_u8; 128];
        let bytes = c_int::try_from(name.len()).unwrap_or(0);
        // SAFETY: the driver writes at most `bytes` bytes to `name`.
        let done = unsafe { sys::cuDeviceGetName(name.as_mut_ptr().cast::<c_char>(), bytes, self.0) };
        checked("cuDeviceGetName", done.result())?;
        let text = name.split(|byte| *byte == 0).next().unwrap_or_default();
        Ok(String::from_utf8_lossy(text).into_owned())
    }

    pub(super) fn memory_bytes(self) -> Result<u64, GpuError> {
        // SAFETY: the device is one that the driver listed.
        let bytes = checked("cuDeviceTotalMem", unsafe { result::device::total_mem(self.0) })?;
        Ok(u64::try_from(bytes).unwrap_or(u64::MAX))
    }

    /// An attribute that is a count; a negative one is none.
    pub(super) fn attribute(self, attribute: CUdevice_attribute) -> Result<u32, GpuError> {
        // SAFETY: the device is one that the driver listed.
        let value = checked("cuDeviceGetAttribute", unsafe { result::device::get_attribute(self.0, attribute) })?;
        Ok(u32::try_from(value).unwrap_or(0))
    }
}

/// A device's primary context: what memory and code on it belong to. Usable from any thread.
#[derive(Debug)]
pub(super) struct Context {
    device: Device,
    handle: sys::CUcontext,
}

// SAFETY: the handle is only ever passed to the driver, whose calls may be made from any thread.
unsafe impl Send for Context {}
// SAFETY: as for `Send`; the driver locks what its calls share.
unsafe impl Sync for Context {}

impl Context {
    pub(super) fn retain(device: Device) -> Result<Arc<Self>, GpuError> {
        // A thread that waits for the GPU sleeps; by default it would keep a processor busy that could hash. If somebody in
        // this process has the context already, their flags stay.
        let flags = sys::CUctx_flags::CU_CTX_SCHED_BLOCKING_SYNC as c_uint;
        // SAFETY: the device is one that the driver listed.
        let _ = unsafe { sys::cuDevicePrimaryCtxSetFlags_v2(device.0, flags) };
        // SAFETY: the device is one that the driver listed.
        let handle = checked("cuDevicePrimaryCtxRetain", unsafe { result::primary_ctx::retain(device.0) })?;
        Ok(Arc::new(Self { device, handle }))
    }

    /// Makes it this thread's context, which the calls below expect.
    fn enter(&self) -> Result<(), GpuError> {
        // SAFETY: the context is retained as long as `self` lives.
        checked("cuCtxSetCurrent", unsafe { result::ctx::set_current(self.handle) })
    }

    /// Bytes of memory that nobody uses.
    fn free_bytes(&self) -> Result<u64, GpuError> {
        self.enter()?;
        let (free, _) = checked("cuMemGetInfo", result::mem_get_info())?;
        Ok(u64::try_from(free).unwrap_or(u64::MAX))
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: retained once, released once. A failure leaves nothing to be done.
        let _ = unsafe { result::primary_ctx::release(self.device.0) };
    }
}

/// Memory on the device.
#[derive(Debug)]
pub(super) struct Memory {
    context: Arc<Context>,
    address: sys::CUdeviceptr,
    bytes: usize,
}

impl Memory {
    /// Allocates `bytes`, more than zero, of undefined contents.
    pub(super) fn allocate(context: &Arc<Context>, bytes: usize, what: &'static str) -> Result<Self, GpuError> {
        let free = context.free_bytes()?;
        context.enter()?;
        // SAFETY: the memory is initialised by a kernel or a copy before anything reads it.
        match unsafe { result::malloc_sync(bytes) } {
            Err(DriverError(CUresult::CUDA_ERROR_OUT_OF_MEMORY)) => {
                Err(GpuError::Memory { what, bytes: u64::try_from(bytes).unwrap_or(u64::MAX), free })
            }
            made => checked("cuMemAlloc", made).map(|address| Self { context: Arc::clone(context), address, bytes }),
        }
    }

    /// Where it lies, as kernels get it.
    pub(super) const fn address(&self) -> u64 {
        self.address
    }

    /// Copies plain values to its start; the caller's slice must fit.
    pub(super) fn write<T: Plain>(&self, values: &[T]) -> Result<(), GpuError> {
        self.check_range(0, size_of_val(values))?;
        // SAFETY: the range lies inside this live allocation, and values of `T` are plain bytes.
        checked("cuMemcpyHtoD", unsafe { result::memcpy_htod_sync(self.address, values) })
    }

    /// Copies plain values from `offset` bytes past its start.
    pub(super) fn read<T: Plain>(&self, offset: usize, values: &mut [T]) -> Result<(), GpuError> {
        let from = self.check_range(offset, size_of_val(values))?;
        // SAFETY: the range lies inside this live allocation, and any bytes are values of `T`.
        checked("cuMemcpyDtoH", unsafe { result::memcpy_dtoh_sync(values, from) })
    }

    /// Sets its first `bytes` bytes to zero.
    pub(super) fn clear(&self, bytes: usize) -> Result<(), GpuError> {
        self.check_range(0, bytes)?;
        // SAFETY: the range lies inside this live allocation.
        checked("cuMemsetD8", unsafe { result::memset_d8_sync(self.address, 0, bytes) })
    }

    /// The address of a range, if it lies inside; enters the context.
    fn check_range(&self, offset: usize, bytes: usize) -> Result<sys::CUdeviceptr, GpuError> {
        let inside = offset.checked_add(bytes).is_some_and(|end| end <= self.bytes);
        let start = u64::try_from(offset).ok().and_then(|offset| self.address.checked_add(offset));
        let start = start.filter(|_| inside).ok_or(GpuError::Wrong { what: "the size of a copy" })?;
        self.context.enter()?;
        Ok(start)
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if self.context.enter().is_ok() {
            // SAFETY: allocated once, freed once; kernels that use it have ended, since each launch waits for its end.
            let _ = unsafe { result::free_sync(self.address) };
        }
    }
}

/// A type of which any bytes are a value, and which has no padding.
///
/// # Safety
/// Both must be true of it.
pub(super) unsafe trait Plain: Copy {}

// SAFETY: integers have no padding, and any bytes are values of them.
unsafe impl Plain for u32 {}

/// Code on the device.
#[derive(Debug)]
pub(super) struct Module {
    context: Arc<Context>,
    handle: sys::CUmodule,
}

// SAFETY: the handle is only ever passed to the driver, whose calls may be made from any thread.
unsafe impl Send for Module {}
// SAFETY: as for `Send`; the driver locks what its calls share.
unsafe impl Sync for Module {}

impl Module {
    /// Has the driver compile `ptx` for the device.
    pub(super) fn load(context: &Arc<Context>, ptx: &'static str) -> Result<Arc<Self>, GpuError> {
        context.enter()?;
        let ptx = CString::new(ptx).unwrap_or_default();
        // SAFETY: a text that ends in a zero byte, and that the driver keeps nothing of.
        let handle = checked("cuModuleLoadData", unsafe { result::module::load_data(ptx.as_ptr().cast()) })?;
        Ok(Arc::new(Self { context: Arc::clone(context), handle }))
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        if self.context.enter().is_ok() {
            // SAFETY: loaded once, unloaded once; kernels hold a reference, so that none is left.
            let _ = unsafe { result::module::unload(self.handle) };
        }
    }
}

/// One kernel.
#[derive(Debug)]
pub(super) struct Kernel {
    module: Arc<Module>,
    handle: sys::CUfunction,
    /// Threads of a block: what the kernel's launch bounds say.
    block: u32,
}

// SAFETY: the handle is only ever passed to the driver, whose calls may be made from any thread.
unsafe impl Send for Kernel {}

impl Kernel {
    pub(super) fn new(module: &Arc<Module>, name: &'static str, block: u32) -> Result<Self, GpuError> {
        module.context.enter()?;
        let name = CString::new(name).unwrap_or_default();
        // SAFETY: the module is loaded.
        let handle = checked("cuModuleGetFunction", unsafe { result::module::get_function(module.handle, name) })?;
        Ok(Self { module: Arc::clone(module), handle, block })
    }

    /// Runs at least `threads` threads, which may be zero, and waits for their end.
    ///
    /// # Safety
    /// `parameters` must point to values of the kernel's parameter types, in their order, and the kernel must stay inside the
    /// device memory that they name.
    pub(super) unsafe fn launch(&self, threads: u32, parameters: &mut [*mut c_void]) -> Result<(), GpuError> {
        let blocks: c_uint = threads.div_ceil(self.block);
        if blocks == 0 {
            return Ok(());
        }
        self.module.context.enter()?;
        let stream = std::ptr::null_mut();
        // SAFETY: the function belongs to a loaded module; the rest is the caller's promise. The driver copies the
        // parameters before it returns.
        let launched =
            unsafe { result::launch_kernel(self.handle, (blocks, 1, 1), (self.block, 1, 1), 0, stream, parameters) };
        checked("cuLaunchKernel", launched)?;
        checked("cuCtxSynchronize", result::ctx::synchronize())
    }
}

/// A parameter as the driver takes it.
pub(super) const fn parameter<T>(value: &T) -> *mut c_void {
    std::ptr::from_ref(value).cast_mut().cast()
}

fn checked<T>(call: &'static str, done: Result<T, DriverError>) -> Result<T, GpuError> {
    done.map_err(|error| {
        // Never printed as the enum it is: a driver newer than our bindings may know further codes.
        let text = error.error_string().map_or_else(|_| "unknown".into(), |text| text.to_string_lossy());
        GpuError::Driver { call, code: error.0 as u32, text: text.into_owned() }
    })
}
