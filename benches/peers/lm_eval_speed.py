"""Times the log-likelihood requests of `evaluate` and of lm-evaluation-harness's `hf` model next to each other.

    cargo build --release --example evaluate
    cargo run --release --package benches --bin peer-work -- export MODEL.gguf FOLDER
    python -m venv target/lm-eval && target/lm-eval/bin/pip install -r benches/peers/requirements-lm-eval.txt
    target/lm-eval/bin/python benches/peers/lm_eval_speed.py FOLDER --data-dir ROOT --batch-size 8

FOLDER and ROOT are those of lm_eval_harness.py. Both run in float32 on the CPU with the same number of threads, the same
documents and the same batch size, and take turns, so that a slow minute of a shared machine meets both. Counted is the
time in which log-likelihood requests are answered, tokenising included: neither loading nor building prompts. The
harness collects the requests of a task before it answers them; `evaluate` answers --batch-size documents at a time.

Prints the requests per second of each turn, the medians, and the median ratio.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

from lm_eval_harness import local  # first: it sets HF_HUB_OFFLINE

import datasets
import lm_eval
import torch
import transformers
from lm_eval.models.huggingface import HFLM

ROOT = Path(__file__).resolve().parent.parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))


class Timed(HFLM):
    """Counts log-likelihood requests and the seconds they take."""

    requests = 0
    seconds = 0.0

    def loglikelihood(self, requests, *arguments, **keywords):
        start = time.perf_counter()
        answers = super().loglikelihood(requests, *arguments, **keywords)
        self.seconds += time.perf_counter() - start
        self.requests += len(requests)
        return answers


def ours(arguments, task):
    """Requests per second of `evaluate`, which prints them."""
    command = [TARGET / "release" / "examples" / "evaluate", "--model", arguments.model, "--tasks", task]
    command += ["--data-dir", arguments.data_dir, "--limit", arguments.limit, "--batch-size", arguments.batch_size]
    environment = dict(os.environ, RAYON_NUM_THREADS=str(arguments.threads))
    done = subprocess.run([str(part) for part in command], env=environment, check=True, capture_output=True, text=True)
    found = re.search(r"([0-9.]+) log-likelihood requests per second", done.stdout + done.stderr)
    if not found:
        sys.exit(f"`evaluate` printed no requests per second: {done.stdout}{done.stderr}")
    return float(found.group(1))


def theirs(arguments, model, task):
    """Requests per second of the harness."""
    model.requests, model.seconds = 0, 0.0
    lm_eval.simple_evaluate(model=model, tasks=[task], limit=arguments.limit, verbosity="ERROR")
    return model.requests / model.seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="Hugging Face folder of SmolLM2 weights and tokenizer")
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--tasks", default="arc_easy,hellaswag")
    parser.add_argument("--limit", type=int, default=100)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--turns", type=int, default=3)
    arguments = parser.parse_args()
    datasets.load_dataset = local(arguments.data_dir)
    torch.set_num_threads(arguments.threads)
    tokenizer = transformers.PreTrainedTokenizerFast.from_pretrained(arguments.model)
    model = Timed(
        pretrained=arguments.model,
        tokenizer=tokenizer,
        dtype="float32",
        batch_size=arguments.batch_size,
        device="cpu",
    )
    print(f"lm_eval {lm_eval.__version__}, transformers {transformers.__version__}, torch {torch.__version__}")
    for task in arguments.tasks.split(","):
        pairs = []
        for turn in range(arguments.turns):
            pairs.append((ours(arguments, task), theirs(arguments, model, task)))
            found, peer = pairs[-1]
            print(f"{task}, turn {turn + 1}: KALLM {found:.2f}, lm-eval {peer:.2f} requests/s, ratio {found / peer:.2f}")
        found, peer = (statistics.median(side) for side in zip(*pairs))
        ratio = statistics.median(found / peer for found, peer in pairs)
        print(f"{task:16} KALLM {found:8.2f} requests/s   lm-eval {peer:8.2f} requests/s   ratio {ratio:5.2f}")


if __name__ == "__main__":
    main()
