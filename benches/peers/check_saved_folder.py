"""Opens a folder that KALLM saved with transformers and compares next-token log-probabilities.

    cargo run --release --package benches --bin peer-work -- export MODEL FOLDER     # a SwiGLU model
    cargo run --release --example score -- --model FOLDER --input texts.jsonl --output scores.jsonl
    target/peers/bin/python benches/peers/check_saved_folder.py FOLDER scores.jsonl

Prints the largest difference over all tokens; exits with 1 above 1e-4 per token (f32 on both sides differs from f64 by
up to 4e-5 over thirty layers), if one is not a number, or if there is no token.
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
    differences = [torch.empty(0, dtype=torch.float64)]
    with open(scores, encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            ids = torch.tensor([row["ids"]])
            with torch.inference_mode():
                logits = model(ids).logits[0, :-1].double()
            expected = logits.log_softmax(-1).gather(1, ids[0, 1:, None])[:, 0]
            found = torch.tensor(row["logprobs"], dtype=torch.float64)
            if found.shape != expected.shape:
                sys.exit(f"{scores}: {len(found)} log-probabilities for {len(row['ids'])} tokens")
            differences.append((found - expected).abs())
    differences = torch.cat(differences)
    if len(differences) == 0:
        sys.exit(f"{scores} holds no token to compare")
    worst = differences.max().item()  # NaN if any is
    print(f"{len(differences)} tokens, largest difference {worst:.2e}")
    sys.exit(not worst <= 1e-4)


if __name__ == "__main__":
    main()
