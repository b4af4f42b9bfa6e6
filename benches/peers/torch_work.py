"""The work of `peer-work` done by PyTorch and transformers: prefill, single-token decode, one training step.

Run by run.py, one process a measurement: python torch_work.py MODEL_FOLDER WORK THREADS REPEATS
Prints one JSON object: {"work", "seconds": [one figure a repeat], "versions"}.
"""

import json
import sys
import time

import torch
import transformers
from transformers import AutoModelForCausalLM

TOKENS = 512
DECODED = 32


def prefill(model, ids):
    with torch.inference_mode():
        # Logits of the last position only, as generation asks for them.
        model(ids, use_cache=True, logits_to_keep=1)


def decode(model, ids):
    """Time of DECODED single-token steps after a prompt of 64 tokens, the prompt not counted."""
    with torch.inference_mode():
        out = model(ids[:, :64], use_cache=True, logits_to_keep=1)
        cache, token = out.past_key_values, out.logits[:, -1:].argmax(-1)
        start = time.perf_counter()
        for _ in range(DECODED):
            out = model(token, past_key_values=cache, use_cache=True)
            token = out.logits[:, -1:].argmax(-1)
        return time.perf_counter() - start


def training_step(model, optimizer, ids):
    optimizer.zero_grad()
    loss = model(ids, labels=ids, use_cache=False).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()


def timed(function, *arguments):
    start = time.perf_counter()
    inner = function(*arguments)
    return inner if inner is not None else time.perf_counter() - start


def main():
    folder, work, threads, repeats = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    torch.set_num_threads(threads)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="sdpa")
    ids = torch.arange(TOKENS).mul(7919).remainder(49000).add(100).reshape(1, TOKENS)
    if work == "train":
        model.train()
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, weight_decay=0.0)
        call = (training_step, model, optimizer, ids)
    else:
        model.eval()
        call = ({"prefill": prefill, "decode": decode}[work], model, ids)
    for _ in range(2):  # warm-up: allocation, thread pools, optimiser state
        timed(*call)
    seconds = [timed(*call) for _ in range(repeats)]
    versions = {"torch": torch.__version__, "transformers": transformers.__version__}
    print(json.dumps({"work": work, "seconds": seconds, "versions": versions}))


if __name__ == "__main__":
    main()
