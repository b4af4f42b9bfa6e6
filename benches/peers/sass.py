"""What NVIDIA's compiler makes of the rational kernels, read without a GPU.

    pip install nvidia-cuda-nvrtc==13.5.37 nvidia-cuda-runtime==13.5.37 nvidia-cuda-nvdisasm==13.5.37
    cargo test --release -p kan-rational --features cuda --test it cuda_source
    python benches/peers/sass.py target/tmp/cuda

The test leaves the CUDA source that CubeCL generates; this compiles it with CubeCL's options and disassembles it. Prints, for
every kernel, its registers, the bytes it spills, and the instructions of its loop over the rows for each element, with those
among them that read coefficients again or touch spilled ones. Fails if a kernel does not compile or reads or writes a tensor in
less than 16 bytes, and, for degrees (5, 4), if the loop reads anything else or there are more registers than the launch code counts
on (crates/kan-rational/src/cube/launch.rs).
"""

import argparse
import collections
import ctypes
import re
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

NVIDIA = Path(sysconfig.get_paths()["purelib"]) / "nvidia"
# Registers with which as many cubes fit on a multiprocessor as launch.rs says, degrees (5, 4).
MOST_REGISTERS = {"Forward": 40, "ForwardGated": 40, "Backward": 64, "BackwardGated": 64}
LANES = {"F32": 4, "F16": 8, "BF16": 8}
# Tensors read and written by the loop.
TENSORS = {"Forward": (1, 1), "ForwardGated": (2, 1), "Backward": (2, 1), "BackwardGated": (3, 2)}


def found(pattern):
    paths = sorted(NVIDIA.glob(pattern))
    if not paths:
        sys.exit(f"no {pattern} below {NVIDIA}: pip install the packages named at the head of this script")
    return paths[0]


class Compiler:
    """NVRTC with the options that CubeCL gives it."""

    def __init__(self):
        self.library = ctypes.CDLL(str(found("**/libnvrtc.so.*")))
        self.headers = found("**/cuda_bf16.h").parent

    def read(self, program, name, kind):
        size = ctypes.c_size_t()
        getattr(self.library, f"nvrtcGet{name}Size")(program, ctypes.byref(size))
        buffer = ctypes.create_string_buffer(size.value)
        getattr(self.library, f"nvrtcGet{name}")(program, buffer)
        return kind(buffer)

    def compile(self, source, architecture):
        """The compiler's log and the machine code."""
        program = ctypes.c_void_p()
        self.library.nvrtcCreateProgram(ctypes.byref(program), source.encode(), None, 0, None, None)
        options = [
            f"--gpu-architecture={architecture}",
            f"--include-path={self.headers}",
            "-lineinfo",
            "--ptxas-options=-v",
        ]
        array = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
        failed = self.library.nvrtcCompileProgram(program, len(options), array)
        log = self.read(program, "ProgramLog", lambda buffer: buffer.value.decode())
        if failed:
            raise ValueError(log)
        code = self.read(program, "CUBIN", lambda buffer: buffer.raw)
        self.library.nvrtcDestroyProgram(ctypes.byref(program))
        return log, code


def disassemble(code):
    """The instructions of a kernel and the index each label stands before."""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(code)
        file.flush()
        text = subprocess.run([found("**/nvdisasm"), "-c", file.name], check=True, capture_output=True, text=True).stdout
    instructions, labels = [], {}
    for line in text.splitlines():
        if label := re.match(r"(\.L_x_\d+):", line):
            labels[label[1]] = len(instructions)
        elif instruction := re.match(r"\s+/\*[0-9a-f]+\*/\s+(.*?);", line):
            instructions.append(instruction[1].strip())
    return instructions, labels


def row_loop(instructions, labels):
    """The innermost loop that stores to a tensor: the one over the rows."""
    loops = []
    for end, instruction in enumerate(instructions):
        target = re.search(r"BRA.*`\((\.L_x_\d+)\)", instruction)
        if target and labels.get(target[1], end + 1) <= end:
            loops.append(instructions[labels[target[1]] : end + 1])
    with_stores = [loop for loop in loops if any("STG.E.128" in instruction for instruction in loop)]
    return min(with_stores, key=len, default=[])


def count(loop, *starts):
    names = collections.Counter(re.sub(r"^@!?U?P\w+ ", "", instruction).split()[0] for instruction in loop)
    return sum(number for name, number in names.items() if name.startswith(starts))


def number(pattern, log):
    match = re.search(pattern, log)
    return int(match[1]) if match else 0


def read(compiler, path, architecture):
    """One line of the table, and what is wrong with the kernel."""
    kernel, degrees, form, dtype = path.stem.split()
    log, code = compiler.compile(path.read_text(), architecture)
    loop = row_loop(*disassemble(code))
    registers, spilled = number(r"Used (\d+) registers", log), number(r"(\d+) bytes spill stores", log)
    lanes = LANES[dtype]
    line = (
        f"{kernel:<14} {degrees:<4} {form:<9} {dtype:<5} {architecture:<7} {registers:>9} {spilled:>7}"
        f" {len(loop) / lanes:>12.1f} {count(loop, 'FFMA') / lanes:>7.1f}"
    )
    wrong = []
    if kernel in TENSORS:
        wide = count(loop, "LDG.E.128"), count(loop, "STG.E.128")
        others = count(loop, "LDG", "STG", "LDL", "STL") - sum(wide)
        line += f" {others / lanes:>7.1f}"
        if wide != TENSORS[kernel]:
            wrong.append(f"{wide} reads and writes of 16 bytes in the loop, expected {TENSORS[kernel]}")
        if degrees == "5,4" and others:
            wrong.append(f"{others} other accesses of memory in the loop, expected none")
        if degrees == "5,4" and registers > MOST_REGISTERS[kernel]:
            wrong.append(f"{registers} registers, expected at most {MOST_REGISTERS[kernel]}")
    return line, [f"{path.stem} for {architecture}: {what}" for what in wrong]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the test left the sources: target/tmp/cuda")
    parser.add_argument("--architectures", default="sm_80,sm_90a")
    arguments = parser.parse_args()
    paths = sorted(arguments.folder.glob("*.cu"))
    if not paths:
        sys.exit(f"no .cu files in {arguments.folder}: run the test named at the head of this script")
    compiler = Compiler()
    print(
        f"{'kernel':<14} {'deg.':<4} {'form':<9} {'type':<5} {'target':<7} {'registers':>9} {'spilled':>7}"
        f" {'instructions':>12} {'of FMA':>7} {'rereads':>7}"
    )
    wrong = []
    for architecture in arguments.architectures.split(","):
        for path in paths:
            line, problems = read(compiler, path, architecture)
            print(line)
            wrong += problems
    print("instructions are those of one element in the loop over the rows")
    sys.exit("\n".join(wrong) or 0)


if __name__ == "__main__":
    main()
