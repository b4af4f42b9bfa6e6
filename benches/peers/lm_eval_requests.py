"""Lets lm-evaluation-harness build the requests of tasks and compares them with what `evaluate --dry-run` wrote.

    cargo run --release --example evaluate -- --dry-run --include-path TASKS --tasks lambada_openai,mmlu_virology_continuation \\
        --data-dir ROOT --limit 20 --output-path REQUESTS
    python -m venv target/lm-eval && target/lm-eval/bin/pip install lm_eval==0.4.13
    target/lm-eval/bin/python benches/peers/lm_eval_requests.py REQUESTS --data-dir ROOT --limit 20

TASKS is the harness's own folder of task files (`site-packages/lm_eval/tasks`), or absent for tasks built in. No model is
needed, and no network: only the rows come from ROOT. Every samples_<task>.jsonl in REQUESTS is compared; --names says what
the harness calls a task that has another name here (ours=theirs). --limit and --num-fewshot must be those of `evaluate`.

Prints the documents and requests of each task and how many differ: arguments and targets as strings, settings of generated
text by value, the hash of each document. Exits with 1 if anything does.
"""

import argparse
import hashlib
import json
import logging
import os
import sys
from pathlib import Path

# Before the imports below, which read it once.
os.environ["HF_HUB_OFFLINE"] = "1"

import datasets
from lm_eval.tasks import TaskManager

from lm_eval_data import local


def theirs(manager, name, arguments):
    """The target and arguments of every document, as the harness builds them."""
    (task,) = manager.load([name])["tasks"].values()
    if arguments.num_fewshot is not None and task.get_config("num_fewshot") != 0:
        task.set_config(key="num_fewshot", value=arguments.num_fewshot)
    elif task.get_config("num_fewshot") is None:
        task.set_config(key="num_fewshot", value=0)
    task.set_fewshot_seed(seed=1234)
    task.build_all_requests(limit=arguments.limit, rank=0, world_size=1)
    documents = {}
    for instance in task.instances:
        document = documents.setdefault(instance.doc_id, (instance.doc, []))
        document[1].append(list(instance.args))
    return [(doc, str(task.doc_to_target(doc)), requests) for _, (doc, requests) in sorted(documents.items())]


def ours(path):
    lines = [json.loads(line) for line in path.read_bytes().split(b"\n") if line]
    return [(line, [list(request.values()) for request in line["arguments"].values()]) for line in lines]


def digest(document):
    return hashlib.sha256(json.dumps(document, indent=2, ensure_ascii=False).encode()).hexdigest()


def compare(mine, others):
    """Documents, requests, and what differs."""
    problems = [] if len(mine) == len(others) else [f"{len(mine)} documents, the harness {len(others)}"]
    count = hashes = 0
    for (line, requests), (document, target, expected) in zip(mine, others):
        name = f"document {line['doc_id']}"
        count += len(expected)
        if requests != expected:
            problems.append(f"{name}: asked {requests!r}\n    the harness {expected!r}")
        if line["target"] != target:
            problems.append(f"{name}: target {line['target']!r}, the harness's {target!r}")
        hashes += line["doc_hash"] == digest(document)
    return count, hashes, problems


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("requests", type=Path, help="what `evaluate --dry-run` had as --output-path")
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=20)
    parser.add_argument("--num-fewshot", type=int)
    parser.add_argument("--names", default="", help="ours=theirs,..")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    datasets.load_dataset = local(arguments.data_dir)
    manager = TaskManager()
    names = dict(pair.split("=") for pair in arguments.names.split(",") if pair)
    files = sorted(arguments.requests.glob("samples_*.jsonl"))
    if not files:
        sys.exit(f"{arguments.requests}: no samples_<task>.jsonl; run `evaluate --dry-run`")
    wrong = 0
    print(f"{'task':44} documents  requests  equal hashes  differences")
    for file in files:
        task = file.stem.removeprefix("samples_")
        mine = ours(file)
        count, hashes, problems = compare(mine, theirs(manager, names.get(task, task), arguments))
        print(f"{task:44} {len(mine):9}  {count:8}  {hashes:12}  {len(problems):11}")
        for problem in problems[:3]:
            print(f"  {problem}")
        wrong += len(problems)
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
