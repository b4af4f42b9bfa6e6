#!/usr/bin/env bash
# Checks, then times the group rational kernels and training steps on a machine with an NVIDIA GPU and no toolchain.
#
#   cargo xtask gpu                                       # on a machine with a toolchain: writes target/gpu.tar.xz
#   tar -xJf gpu.tar.xz && OUT=results bash gpu/gpu.sh [FLASHKAT]      # on the machine with the GPU
#
# FLASHKAT: folder of a FlashKAT checkout whose Triton kernels are timed beside ours (needs python3 with torch and triton).
# STAGES: which of "tests models checks kernels flashkat training" to run, in that order; all by default. Durations were never
# measured. Where a machine is had for minutes at a time: first STAGES="checks kernels flashkat training", then "tests", "models";
# flashkat needs the kernels.json of the same $OUT.
# LIMIT: seconds for each, 540 by default; what takes longer counts as failed.
# Wanted on the machine: glibc, xz, a driver, and NVRTC of CUDA 11 or newer with the CUDA headers, in CUDA_PATH, /usr/local/cuda or
# python's packages: CubeCL compiles its kernels there. Builds nothing. Leaves log.txt, device.txt and JSON in $OUT; ends with a short table, and fails if a
# check failed.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=$(mkdir -p "${OUT:-results}" && cd "${OUT:-results}" && pwd)
flashkat=${1:-}
stages=${STAGES:-tests models checks kernels flashkat training}
device=${DEVICE:-cuda}
shapes=${SHAPES:-16384x576,16384x1536,16384x2304,8192x8192}
wanted() { [[ " $stages " == *" $1 "* ]]; }
attempt() {
    local name=$1
    shift
    echo "== $name"
    timeout "${LIMIT:-540}" "$@" || echo "FAILED: $name"
}

run() {
    # NVRTC and its headers.
    if [ "$device" = cuda ]; then
        cuda=${CUDA_PATH:-/usr/local/cuda}
        if [ ! -f "$cuda/include/cuda_bf16.h" ]; then
            packages=$(python3 -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')/nvidia
            header=$(find -L "$packages" -name cuda_bf16.h -print -quit 2>/dev/null || true)
            library=$(find -L "$packages" -name 'libnvrtc.so.*' -print -quit 2>/dev/null || true)
            if [ -z "$header" ] || [ -z "$library" ]; then
                echo "no CUDA headers in $cuda/include and none among python's packages: set CUDA_PATH"
                exit 1
            fi
            cuda=$(mktemp -d)
            ln -s "$(dirname "$header")" "$cuda/include"
            ln -s "$(dirname "$library")" "$cuda/lib64"
        fi
        export CUDA_PATH=$cuda
        export LD_LIBRARY_PATH=$cuda/lib64:${LD_LIBRARY_PATH:-}
    fi

    {
        date --utc +%FT%TZ
        cat "$here/commit.txt"
        nvidia-smi --query-gpu=name,driver_version,clocks.max.sm,clocks.max.mem,power.limit --format=csv,noheader || true
    } | tee "$out/device.txt"

    # The tests of the repository, on this device: oracle, random shapes, edges, graphs; the tiny models beside the CPU.
    export KALLM_SHARED=$here/shared KALLM_REQUIRE_SHARED=1 PROPTEST_CASES=${PROPTEST_CASES:-16} RUST_BACKTRACE=0
    if wanted tests; then
        attempt "tests of the kernels" "$here/kernel-tests" --skip cuda_source --skip fitting --skip tables
    fi
    if wanted models; then
        attempt "tests of the models" "$here/model-tests" gpu:: --nocapture
    fi
    if wanted checks; then
        # Threads that walk many rows, as in the timed shapes, and ten million terms for each coefficient.
        attempt "checks against f64" "$here/inspect-kernel" --device "$device" --no-timing --shapes 16384x576 \
            --check-rows 16384 --dtypes bf16,f16,f32 --output "$out/checks.json"
        attempt "checks of one group" "$here/inspect-kernel" --device "$device" --no-timing --shapes 16384x640 --groups 1 \
            --check-rows 16384 --dtypes f32 --degrees 7,6
    fi
    if wanted kernels; then
        attempt "kernels" "$here/inspect-kernel" --device "$device" --shapes "$shapes" --dtypes bf16,f32 --check-rows 64 \
            --output "$out/kernels.json"
    fi
    if wanted flashkat && [ -n "$flashkat" ]; then
        attempt "FlashKAT" python3 "$here/flashkat.py" "$flashkat" --shapes "$shapes" --ours "$out/kernels.json" \
            --output "$out/flashkat.json"
    fi
    if wanted training; then
        attempt "training" "$here/inspect-kernel" --device "$device" --shapes 64x576 --dtypes f32 --repeats 15 \
            --training tiny,135m --output "$out/training.json"
    fi
}

run 2>&1 | tee "$out/log.txt"

echo
echo "== summary"
cat "$out/device.txt"
grep -E '^(operation|copy|forward|backward|gated|flashkat|training step|test result)' "$out/log.txt" || true
if grep '^FAILED' "$out/log.txt"; then
    exit 1
fi
echo "everything passed; figures in $out"
