"""Times FlashKAT's public Triton kernels as their users run them, on the shapes of `inspect-kernel`.

    git clone https://github.com/OSU-STARLAB/FlashKAT
    python benches/peers/flashkat.py FlashKAT --output flashkat.json

Under bfloat16 autocast the input is cast to float32 before the kernel and the gradient back after it; the casts are part
of the time, because nobody can run the kernel without them. Needs torch with CUDA and triton; nothing of FlashKAT is
part of this repository.
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
    for _ in range(5):
        run()
    times = []
    for _ in range(repeats):
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

    def forward():
        with torch.autocast("cuda", dtype=torch.bfloat16, enabled=dtype is torch.bfloat16):
            return rational(x, numerator.repeat(groups, 1), denominator).to(dtype)

    def forward_and_backward():
        x.grad = numerator.grad = denominator.grad = None
        forward().backward(gradient)

    return median_microseconds(forward, repeats), median_microseconds(forward_and_backward, repeats)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", help="folder of a FlashKAT checkout")
    parser.add_argument("--shapes", default=SHAPES)
    parser.add_argument("--groups", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=50)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    rational = load(arguments.checkout)
    figures = []
    for shape in arguments.shapes.split(","):
        rows, channels = map(int, shape.split("x"))
        for dtype in (torch.bfloat16, torch.float32):
            forward, both = measure(rational, rows, channels, arguments.groups, dtype, arguments.repeats)
            name = str(dtype).removeprefix("torch.")
            print(f"flashkat {shape:>12} {name:>8} forward {forward:9.1f} us, forward and backward {both:9.1f} us")
            figures.append(
                {
                    "rows": rows,
                    "channels": channels,
                    "dtype": name,
                    "forward_microseconds": forward,
                    "forward_and_backward_microseconds": both,
                }
            )
    if arguments.output:
        report = {"device": torch.cuda.get_device_name(), "torch": torch.__version__, "figures": figures}
        arguments.output.write_text(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
