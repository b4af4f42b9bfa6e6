"""Scores tasks with lm-evaluation-harness and holds what `evaluate` wrote for the same model and data against it.

    cargo run --release --example evaluate -- --model FOLDER --data-dir ROOT --limit 20 \\
        --tasks arc_challenge,piqa,winogrande,openbookqa --log-samples --output-path RESULTS
    python -m venv target/lm-eval && target/lm-eval/bin/pip install -r benches/peers/requirements-lm-eval.txt
    target/lm-eval/bin/python benches/peers/lm_eval_harness.py FOLDER RESULTS --data-dir ROOT --limit 20

FOLDER is a SwiGLU model in the Hugging Face layout with its tokenizer (`peer-work export` writes none: lay tokenizer.json and
tokenizer_config.json beside its weights), ROOT the data as `evaluate` reads it. The harness
runs its own task files, on the CPU, in float32, one request at a time and without a network; only the rows come from ROOT.
Tasks are those with choices. --tasks, --limit, --num-fewshot and --apply-chat-template must be those that `evaluate` had; of
several runs in RESULTS the latest counts.

Prints for every task its documents, the largest difference of two log-likelihoods, how many greedy flags and metrics of
single documents differ, and both scores with their standard errors. Exits with 1 if a request, a flag, a metric or a score
differs, if a log-likelihood differs by more than 1e-3 (the tests' tolerance), or if one side lacks a document.
"""

import argparse
import json
import math
import os
import sys
from pathlib import Path

# Before the imports below, which read it once.
os.environ["HF_HUB_OFFLINE"] = "1"

import datasets
import lm_eval
import torch
import transformers

from lm_eval_data import local

LOG_LIKELIHOOD = 1e-3
# Sums of the same zeros and ones, so only the order of rounding is free.
STANDARD_ERROR = 1e-12


def theirs(arguments):
    """The harness's results and samples."""
    datasets.load_dataset = local(arguments.data_dir)
    # By the class, which reads tokenizer.json as it is. transformers 5 follows the name GPT2Tokenizer in SmolLM2's
    # configuration to a class that leaves out its splitting of digits: "at  4" becomes other tokens than in training.
    tokenizer = transformers.PreTrainedTokenizerFast.from_pretrained(arguments.model)
    return lm_eval.simple_evaluate(
        model="hf",
        model_args={"pretrained": arguments.model, "tokenizer": tokenizer, "dtype": "float32"},
        tasks=arguments.tasks.split(","),
        num_fewshot=arguments.num_fewshot,
        apply_chat_template=arguments.apply_chat_template,
        limit=arguments.limit,
        batch_size=1,
        device="cpu",
    )


def ours(folder, task):
    """The results and samples of the latest run of `evaluate` on a task."""
    files = sorted(folder.rglob(f"samples_{task}_[0-9]*.jsonl"), key=lambda file: file.name)
    if not files:
        sys.exit(f"{folder}: no samples_{task}_*.jsonl; run `evaluate` with --log-samples on this task")
    date = files[-1].stem.removeprefix(f"samples_{task}_")
    results = json.loads(files[-1].with_name(f"results_{date}.json").read_bytes())["results"][task]
    return results, [json.loads(line) for line in files[-1].read_bytes().split(b"\n") if line]


def requests(sample):
    """(context, continuation) of every choice; a file holds them by name, the harness's own samples as a list."""
    if isinstance(sample["arguments"], dict):
        return [(pair["arg_0"], pair["arg_1"]) for pair in sample["arguments"].values()]
    return [tuple(pair) for pair in sample["arguments"]]


def answers(sample):
    """(log-likelihood, greedy) of every choice; a file holds both as text."""
    return [(float(value), str(greedy) == "True") for value, greedy in sample["filtered_resps"]]


class Comparison:
    """What differs between the two sides of one task."""

    def __init__(self):
        self.documents = 0
        self.worst = 0.0
        self.flags = 0
        self.metrics = 0
        self.problems = []

    def document(self, mine, other):
        self.documents += 1
        name = f"document {other['doc_id']}"
        for index, (found, expected) in enumerate(zip(requests(mine), requests(other))):
            if found != expected:
                self.problems.append(f"{name}, choice {index}: asked {found!r}, the harness {expected!r}")
        if mine["target"] != str(other["target"]):
            self.problems.append(f"{name}: target {mine['target']!r}, the harness's {other['target']!r}")
        found, expected = answers(mine), answers(other)
        if len(found) != len(expected):
            self.problems.append(f"{name}: {len(found)} choices, the harness {len(expected)}")
            return
        for index, ((value, greedy), (reference, flag)) in enumerate(zip(found, expected)):
            difference = abs(value - reference)
            if not (difference <= self.worst or math.isnan(self.worst)):  # NaN too, and it stays
                self.worst = difference
            if not difference <= LOG_LIKELIHOOD:
                self.problems.append(f"{name}, choice {index}: log-likelihood {value}, the harness {reference}")
            if greedy != flag:
                self.flags += 1
                self.problems.append(f"{name}, choice {index}: greedy {greedy}, the harness {flag}")
        for metric in other["metrics"]:
            if mine.get(metric) != other[metric]:
                self.metrics += 1
                self.problems.append(f"{name}: {metric} {mine.get(metric)}, the harness {other[metric]}")


def compare(mine, others):
    comparison = Comparison()
    mine, others = ({(sample["doc_id"], sample["filter"]): sample for sample in side} for side in (mine, others))
    for key in sorted(mine.keys() ^ others.keys()):
        side = "the harness" if key in others else "evaluate"
        comparison.problems.append(f"document {key[0]}: only {side} has it; was --limit the same?")
    for key in sorted(mine.keys() & others.keys()):
        comparison.document(mine[key], others[key])
    return comparison


def shown(value, error):
    """A score and its standard error, which a single document has none of."""
    return f"{value:.4f} ± {error:.4f}" if isinstance(error, float) else f"{value:.4f}"


def same_error(mine, other):
    if isinstance(mine, float) and isinstance(other, float):
        return math.isclose(mine, other, rel_tol=STANDARD_ERROR)
    return mine == other


def scores(mine, other, problems):
    """Every score on both sides, as text."""
    lines = []
    for key, value in other.items():
        metric, _, task_filter = key.partition(",")
        if not task_filter or metric.endswith("_stderr"):
            continue
        error = f"{metric}_stderr,{task_filter}"
        lines.append(f"{metric:9} {shown(mine[key], mine[error]):17} {shown(value, other[error])}")
        if mine[key] != value:
            problems.append(f"{key}: {mine[key]}, the harness {value}")
        if not same_error(mine[error], other[error]):
            problems.append(f"{error}: {mine[error]}, the harness {other[error]}")
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="Hugging Face folder of SmolLM2 weights and tokenizer")
    parser.add_argument("results", type=Path, help="what `evaluate` had as --output-path")
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--tasks", default="arc_challenge,piqa,winogrande,openbookqa")
    parser.add_argument("--limit", type=int, default=20)
    parser.add_argument("--num-fewshot", type=int)
    parser.add_argument("--apply-chat-template", action="store_true")
    arguments = parser.parse_args()
    # A missing file is found before the harness has run for minutes.
    written = {task: ours(arguments.results, task) for task in arguments.tasks.split(",")}
    reference = theirs(arguments)
    versions = {"lm_eval": reference["lm_eval_version"]}
    versions |= {module.__name__: module.__version__ for module in (torch, transformers, datasets)}
    print(", ".join(f"{name} {version}" for name, version in versions.items()))
    print(f"{'task':16} documents  largest difference  flags  metrics   score     KALLM             lm-eval")
    wrong = []
    for task, (results, samples) in written.items():
        comparison = compare(samples, reference["samples"][task])
        lines = scores(results, reference["results"][task], comparison.problems)
        row = f"{task:16} {comparison.documents:9}  {comparison.worst:18.2e}"
        row += f"  {comparison.flags:5}  {comparison.metrics:7}   "
        for index, line in enumerate(lines):
            print((row if index == 0 else " " * len(row)) + line)
        wrong += [f"{task}, {problem}" for problem in comparison.problems]
        if comparison.documents == 0:
            wrong.append(f"{task}: no document to compare")
    for problem in wrong:
        print(problem)
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
