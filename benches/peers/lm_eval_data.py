"""The rows of a data root for lm-evaluation-harness, so that it needs neither a network nor other task files."""

import json
import re
import sys

import datasets


class Splits(dict):
    """The splits there are. The harness looks into the few-shot split even for no examples; one that is absent is empty, so
    that nothing can be drawn from it."""

    def __missing__(self, split):
        return next(iter(self.values())).select([])


def read(files):
    if files[0].suffix == ".parquet":
        return datasets.concatenate_datasets([datasets.Dataset.from_parquet(str(file)) for file in files])
    # Only the byte \n ends a line, and a text that looks like a date stays a text.
    lines = [line for file in files for line in file.read_bytes().split(b"\n")]
    return datasets.Dataset.from_list([json.loads(line) for line in lines if line.strip()])


def local(root):
    """Stands in for `datasets.load_dataset`, so that the harness's task files stay as they are."""

    def load(path, name=None, **_):
        folder = root / path / (name or "default")
        splits = {}
        for suffix in ("parquet", "jsonl"):  # the first is preferred, as `evaluate` does
            found = {}
            for file in sorted(folder.glob(f"*.{suffix}")):
                found.setdefault(re.sub(r"-\d{5}-of-\d{5}$", "", file.stem), []).append(file)
            splits = found | splits
        if not splits:
            sys.exit(f"{folder}: expected <split>.jsonl or .parquet, found none")
        return Splits({split: read(files) for split, files in splits.items()})

    return load
