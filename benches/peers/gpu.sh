#!/usr/bin/env bash
# Checks, then times the group rational kernels on a machine with an NVIDIA GPU and no toolchain. Builds nothing.
#
#   cargo xtask gpu                          # on a machine with a toolchain: fills target/gpu
#   OUT=results bash gpu.sh [FLASHKAT]       # on the machine with the GPU, in a copy of target/gpu
#
# FLASHKAT: folder of a FlashKAT checkout whose Triton kernels are timed beside ours (needs python with torch, triton and
# flashkat.py next to this script). Wanted on the machine: a driver, and NVRTC with the CUDA headers (CubeCL compiles
# its kernels there; CUDA_PATH, or pip's nvidia-cuda-nvrtc). Leaves check.json, kernels.json, training.json, device.txt and, with a
# checkout, flashkat.json in $OUT; ends with a short table and fails if a check failed.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=${OUT:-results}
checkout=${1:-}
mkdir -p "$out"

{
    date --utc +%FT%TZ
    nvidia-smi --query-gpu=name,driver_version,clocks.sm,clocks.mem,power.limit --format=csv || true
} >"$out/device.txt"
cat "$out/device.txt"

program=$here/inspect-kernel
device=${DEVICE:-cuda}
shapes=${SHAPES:-16384x576,16384x1536,16384x2304,8192x8192}

# Correctness first: shapes whose groups do not fill a warp, one group, more rows than a cube takes, three types.
failed=0
"$program" --device "$device" --no-timing --shapes "1x72,777x96,2048x576,512x1536,256x2304" --dtypes f32,f16,bf16 \
    --check-rows 2048 --output "$out/check.json" || failed=1
"$program" --device "$device" --no-timing --shapes "333x768" --degrees 9,8 --dtypes f32 \
    --output "$out/check-9-8.json" || failed=1

"$program" --device "$device" --shapes "$shapes" --dtypes bf16,f32 --check-rows 256 \
    --output "$out/kernels.json" | tee "$out/kernels.txt" || failed=1

# Whole training steps in a run of their own: one that fails, for want of memory say, loses no kernel's figures.
"$program" --device "$device" --shapes 64x576 --dtypes f32 --training tiny,135m \
    --output "$out/training.json" | grep '^training' | tee "$out/training.txt" || failed=1

if [ -n "$checkout" ]; then
    python3 "$here/flashkat.py" "$checkout" --shapes "$shapes" --output "$out/flashkat.json" | tee "$out/flashkat.txt"
fi

echo
echo "== summary =="
head -n 3 "$out/device.txt"
grep -v -e '^ok' -e '^skipped' "$out/kernels.txt" || true
cat "$out/training.txt"
if [ -n "$checkout" ]; then
    cat "$out/flashkat.txt"
fi
if [ "$failed" -ne 0 ]; then
    echo "CHECKS FAILED: see check.json"
    exit 1
fi
echo "all checks passed; figures in $out"
