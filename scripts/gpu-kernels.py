"""Compiles one CUDA source to the PTX beside it: gpu-kernels.py NVRTC_VERSION SOURCE. See gpu-kernels.sh."""

import ctypes
import hashlib
import pathlib
import sys

# The oldest GPUs whose drivers are still maintained with the newest ones; every newer GPU runs their code.
ARCHITECTURE = "compute_70"


def main():
    version, path = sys.argv[1], pathlib.Path(sys.argv[2])
    source = path.read_bytes()
    ptx = compiled(source, path.name)
    header = (
        f"// Made from {path.name} by `make gpu-kernels` with NVRTC {version}, {ARCHITECTURE}. Do not edit.\n"
        f"// Source SHA-256: {hashlib.sha256(source).hexdigest()}\n"
    )
    path.with_suffix(".ptx").write_bytes(header.encode() + ptx)


def compiled(source, name):
    nvrtc = ctypes.CDLL("libnvrtc.so.12")
    program = ctypes.c_void_p()
    options = [f"--gpu-architecture={ARCHITECTURE}".encode(), b"--std=c++17"]
    created = nvrtc.nvrtcCreateProgram(ctypes.byref(program), source, name.encode(), 0, None, None)
    if created != 0:
        sys.exit(f"nvrtcCreateProgram: {created}")
    result = nvrtc.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*options))
    log = text(program, nvrtc.nvrtcGetProgramLogSize, nvrtc.nvrtcGetProgramLog)
    if log:
        print(log.decode(), file=sys.stderr)
    if result != 0:
        sys.exit(f"{name} does not compile: {result}")
    return text(program, nvrtc.nvrtcGetPTXSize, nvrtc.nvrtcGetPTX)


def text(program, size_of, copy):
    size = ctypes.c_size_t()
    size_of(program, ctypes.byref(size))
    buffer = ctypes.create_string_buffer(size.value)
    copy(program, buffer)
    return buffer.value


main()
