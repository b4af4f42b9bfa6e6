"""Opens a folder that KALLM saved with transformers and compares next-token log-probabilities.

    cargo run --release --example convert -- --help        # or any example that saves a SwiGLU model
    cargo run --release --example score -- --model FOLDER --input texts.jsonl --output scores.jsonl
    target/peers/bin/python benches/peers/check_saved_folder.py FOLDER scores.jsonl

Prints the largest difference over all tokens; exits with 1 above 1e-4 per token (f32 on both sides differs from f64 by
up to 4e-5 over thirty layers).
"""

import json
import sys

import torch
from transformers import AutoModelForCausalLM


def main():
    folder, scores = sys.argv[1], sys.argv[2]
    model, report = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if report.get(kind):
            sys.exit(f"{folder}: transformers reports {kind}: {sorted(report[kind])}")
    worst, tokens = 0.0, 0
    with open(scores, encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            ids = torch.tensor([row["ids"]])
            with torch.inference_mode():
                logits = model(ids).logits[0, :-1].double()
            expected = logits.log_softmax(-1).gather(1, ids[0, 1:, None])[:, 0]
            found = torch.tensor(row["logprobs"], dtype=torch.float64)
            worst = max(worst, (found - expected).abs().max().item())
            tokens += len(found)
    print(f"{tokens} tokens, largest difference {worst:.2e}")
    sys.exit(worst > 1e-4)


if __name__ == "__main__":
    main()
