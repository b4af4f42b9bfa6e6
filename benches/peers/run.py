"""Times KALLM and PyTorch + transformers on the same work, the same weights and the same number of threads.

    cargo build --release --package benches --bin peer-work
    target/release/peer-work export MODEL.gguf target/peer-model
    python -m venv target/peers && target/peers/bin/pip install -r benches/peers/requirements.txt
    target/peers/bin/python benches/peers/run.py target/peer-model --threads 2

The two take turns, so that a slow minute of a shared machine meets both; a figure is the median over all turns.
Prints one table and what a gated rational training step costs beside a SwiGLU one, and writes target/peers.json, with
commit, date, command and processor. CARGO_TARGET_DIR replaces target, as it does for cargo.
"""

import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
TOKENS = {"prefill": 512, "decode": 32, "train": 512}


def run(command, threads):
    environment = dict(os.environ, RAYON_NUM_THREADS=str(threads), OMP_NUM_THREADS=str(threads))
    # Some machines pin an OpenBLAS kernel by environment, which would slow the peer.
    environment.pop("OPENBLAS_CORETYPE", None)
    environment.pop("OPENBLAS_L2_SIZE", None)
    output = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    return json.loads(output.strip().splitlines()[-1])


def commit():
    """The commit that is checked out, and whether the tree differs from it."""
    git = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        return subprocess.run(git, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def processor():
    """The processor's name: Linux tells it in /proc/cpuinfo only."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def base(work):
    """The work the peer does for this row: it has no rational layer, so both training rows meet its SwiGLU step."""
    return "train" if work.startswith("train") else work


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="Hugging Face folder of SmolLM2 weights")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--work", default="prefill,decode,train,train-gated-rational")
    arguments = parser.parse_args()
    date = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    binary, repeats = str(TARGET / "release" / "peer-work"), str(arguments.repeats)
    kinds = arguments.work.split(",")
    ours = {work: [] for work in kinds}
    theirs = {work: [] for work in kinds}
    versions = {}
    # Turns outside and work inside: a slow minute of a shared machine meets every row, not one of them.
    for turn in range(arguments.turns):
        for work in kinds:
            print(f"turn {turn + 1} of {arguments.turns}: {work}", file=sys.stderr, flush=True)
            ours[work] += run([binary, "time", arguments.model, work, repeats], arguments.threads)["seconds"]
            peer_work = [str(HERE / "torch_work.py"), arguments.model, base(work), str(arguments.threads), repeats]
            peer = run([sys.executable, *peer_work], arguments.threads)
            theirs[work] += peer["seconds"]
            versions = peer["versions"]
    rows = {}
    for work in kinds:
        a, b = statistics.median(ours[work]), statistics.median(theirs[work])
        tokens = TOKENS[base(work)]
        rows[work] = {
            "kallm_tokens_per_second": tokens / a,
            "peer_tokens_per_second": tokens / b,
            "ratio": b / a,
            "kallm_seconds": ours[work],
            "peer_seconds": theirs[work],
        }
        print(f"{work:22} KALLM {tokens / a:9.1f} tokens/s   PyTorch {tokens / b:9.1f} tokens/s   ratio {b / a:5.2f}")
    report = {
        "commit": commit(),
        "date": date,
        "command": sys.argv,
        "processor": processor(),
        "threads": arguments.threads,
        "versions": versions,
        "rows": rows,
    }
    if "train" in rows and "train-gated-rational" in rows:
        cost = statistics.median(ours["train-gated-rational"]) / statistics.median(ours["train"])
        report["gated_rational_step_over_swiglu_step"] = cost
        print(f"a gated rational training step takes {cost:.3f} times the SwiGLU one")
    (TARGET / "peers.json").write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
