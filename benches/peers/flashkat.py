"""Times FlashKAT's public Triton kernels as their users run them, on the shapes of `inspect-kernel`.

    git clone https://github.com/OSU-STARLAB/FlashKAT
    python benches/peers/flashkat.py FlashKAT --ours kernels.json --output flashkat.json

Under bfloat16 autocast the input is cast to float32 before the kernel and the gradient back after it; the casts are part
of the time, because nobody can run the kernel without them. `--ours` sets the figures of `inspect-kernel` on the same card beside
these. Needs torch with CUDA and triton; nothing of FlashKAT is part of this repository.
"""

import argparse
import importlib.util
import json
import statistics
from pathlib import Path

import torch

SHAPES = "16384x576,16384x1536,16384x2304,8192x8192"


def load(checkout):
    """The kernels' own file, without the package around it, which wants a whole vision library."""
    path = Path(checkout) / "rational_kat" / "kernels" / "flash_rational_triton.py"
    spec = importlib.util.spec_from_file_location("flash_rational_triton", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.FlashRationalTriton1DGroup.apply


def median_microseconds(run, repeats):
    """From cold caches, and with the host ahead of the device, so that no time of Python's is counted."""
    evicting = torch.empty(1 << 24, device="cuda")
    for _ in range(10):
        run()
    times = []
    for _ in range(repeats):
        evicting.zero_()
        torch.cuda._sleep(2_000_000)
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        run()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end) * 1e3)
    return statistics.median(times)


def measure(rational, rows, channels, groups, dtype, repeats):
    device = "cuda"
    x = torch.randn(1, rows, channels, device=device, dtype=dtype).requires_grad_()
    # One numerator for all groups, repeated as the published module repeats it.
    numerator = torch.randn(1, 6, device=device).requires_grad_()
    denominator = torch.rand(groups, 4, device=device).requires_grad_()
    gradient = torch.randn(1, rows, channels, device=device, dtype=dtype)
    copied = torch.empty_like(gradient)

    def forward():
        with torch.autocast("cuda", dtype=torch.bfloat16, enabled=dtype is torch.bfloat16):
            return rational(x, numerator.repeat(groups, 1), denominator).to(dtype)

    def forward_and_backward():
        x.grad = numerator.grad = denominator.grad = None
        forward().backward(gradient)

    runs = forward, forward_and_backward, lambda: copied.copy_(gradient)
    return [median_microseconds(run, repeats) for run in runs]


def ours(path):
    """Forward and backward together, by shape and type, as inspect-kernel timed them."""
    times = {}
    for figure in json.loads(path.read_text())["figures"]:
        if figure["operation"] in ("forward", "backward"):
            key = figure["shape"]["rows"], figure["shape"]["channels"], figure["dtype"]
            times[key] = times.get(key, 0) + figure["microseconds"]
    return times


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", help="folder of a FlashKAT checkout")
    parser.add_argument("--shapes", default=SHAPES)
    parser.add_argument("--groups", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=50)
    parser.add_argument("--ours", type=Path, help="what `inspect-kernel --output` wrote")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    rational = load(arguments.checkout)
    beside = ours(arguments.ours) if arguments.ours and arguments.ours.exists() else {}
    figures = []
    for shape in arguments.shapes.split(","):
        rows, channels = map(int, shape.split("x"))
        for dtype, name in (torch.bfloat16, "BF16"), (torch.float32, "F32"):
            forward, both, copy = measure(rational, rows, channels, arguments.groups, dtype, arguments.repeats)
            ratio = both / beside[rows, channels, name] if (rows, channels, name) in beside else None
            print(
                f"flashkat {shape:>12} {name:>5} forward {forward:9.1f} us, forward and backward {both:9.1f} us,"
                f" torch's copy {copy:8.1f} us" + (f", ours {ratio:.2f} times faster" if ratio else "")
            )
            figures.append(
                {
                    "rows": rows,
                    "channels": channels,
                    "dtype": name,
                    "forward_microseconds": forward,
                    "forward_and_backward_microseconds": both,
                    "copy_microseconds": copy,
                    "over_ours": ratio,
                }
            )
    if arguments.output:
        report = {"device": torch.cuda.get_device_name(), "torch": torch.__version__, "figures": figures}
        arguments.output.write_text(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
