#!/usr/bin/env bash
# Makes the PTX beside each CUDA source with NVIDIA's run-time compiler, and prints what registers and spills the assembler
# gives it on several GPUs. Only for whoever changes a kernel: the PTX is committed, and the driver compiles it for its GPU.
# Neither step needs a GPU. The tools come into a virtual environment under target/.
set -euo pipefail
cd "$(dirname "$0")/.."

# The oldest of the compiler's series, because PTX of a release needs a driver of that release or a newer one.
nvrtc=12.0.140
# The newest of the assembler's, because it knows the newest GPUs.
ptxas=12.9.86
venv="target/gpu-kernels/venv-$nvrtc-$ptxas"
if [ ! -e "$venv/complete" ]; then
    rm -rf "$venv"
    mkdir -p "$(dirname "$venv")"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check \
        "nvidia-cuda-nvrtc-cu12==$nvrtc" "nvidia-cuda-nvcc-cu12==$ptxas"
    touch "$venv/complete"
fi
packages=$(echo "$venv"/lib/python3*/site-packages/nvidia)
export LD_LIBRARY_PATH="$packages/cuda_nvrtc/lib"

kernels=crates/pow/src/gpu/kernels
for source in "$kernels"/*.cu; do
    "$venv/bin/python" -B scripts/gpu-kernels.py "$nvrtc" "$source"
    for gpu in 70 75 80 86 89 90 100 120; do
        echo "sm_$gpu:"
        "$packages/cuda_nvcc/bin/ptxas" --verbose --gpu-name "sm_$gpu" "${source%.cu}.ptx" --output-file /dev/null 2>&1 |
            sed -n -e 's/.*Compiling entry function \(.*\) for.*/  \1/p' -e 's/^ *\([0-9]* bytes stack.*\)/    \1/p' \
                -e 's/.*\(Used [0-9]* registers\).*/    \1/p' -e '/error/p'
    done
done
