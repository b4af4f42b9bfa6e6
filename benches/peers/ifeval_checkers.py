"""Judges variations of responses to IFEval with lm-evaluation-harness's checkers, and holds what `evaluate` says against them.

    python -m venv target/ifeval
    target/ifeval/bin/pip install --no-deps lm_eval==0.4.13
    target/ifeval/bin/pip install nltk==3.10.4 langdetect==1.0.9 immutabledict==4.3.1 packaging==26.4
    target/ifeval/bin/python benches/peers/ifeval_checkers.py make responses.jsonl --data-dir ROOT --count 3000
    cargo run --release --example evaluate -- --tasks ifeval --responses responses.jsonl --data-dir ROOT --output-path RESULTS
    target/ifeval/bin/python benches/peers/ifeval_checkers.py compare responses.jsonl RESULTS --data-dir ROOT

ROOT is the data as `evaluate` reads it: google/IFEval, openai/gsm8k for English text, nltk/punkt_tab. `make` writes responses
that come close to following the instructions of their document, with --seed for others. `compare` prints every verdict that
differs, and counts by type. Exits with 1 if a verdict differs that does not depend on a language identified, or if more than
2 % of the others do. langdetect draws at random: where it changes its mind in three runs, the document is left out.
"""

import argparse
import collections
import importlib.util
import json
import logging
import os
import random
import re
import shutil
import sys
import tempfile
import types
from pathlib import Path

LANGUAGE = {"change_case:english_capital", "change_case:english_lowercase", "language:response_language"}

# Where sentences, words and formats are told apart, programs differ.
FRAGMENTS = [
    "Dr. Smith went to Washington D.C. on Jan. 5.", "It costs $3.50 (approx.) today!", "What?! No way...", "e.g. this, i.e. that.",
    "He said, \u201cStop.\u201d Then he left.", "\u00abOui.\u00bb She nodded.", "J. R. R. Tolkien wrote it.", "Wait . . . what?",
    "See p. 5. The U.S. The end.", "The U.S. is big.", "Inc. magazine (vol. 3.) No. 7 is here.", "I can't, won't and gonna.",
    "'Tis the season; 'twas fun. D'ye see?", "rock 'n' roll, more'n that.", "CANNOT STOP. WE'LL SEE. IT'S OK.", "A--B \u2014 C\u2013D.",
    "``quoted'' and \"quoted\".", "[1] {two} <three>", "10:30, 5,000 and 3:4.", "\u20183D\u2019 it\u2019s", "x\u00b2 + y\u00b2 = z\u00b2",
    "St. Louis vs. Chicago. A. b. C.", "\"One.\" 'Two.' (Three.) Four.", "end.)The next", "!!! ??? ...", "3. Third. 4 fourth. 5.",
    "\u0661\u066b\u0665 \u0663,\u0664", "Mr.\nBrown came.\nHe left.", "wanna go? gimme that. lemme", "Wow!Really?Yes.No", "a.b.c. D.E.F. g",
    "WHAT'S 'IN' A \"NAME\"?", "NASA, FBI and U.N. ARE HERE.", "pre-WWII F.B.I.'s", "\u01c5 \u2160 \u24b6 \u00df \u0130 \u0131 \u017f", "i'd've",
    "na\u0308ive cafe\u0301.", "https://example.com/a?b=c me@example.org", "#hash @at &amp; 50% $5", "Section 1\nSection 2", "-- dash. --\"Yes.\"",
]

TEXTS = {
    "hi": "\u092f\u0939 \u090f\u0915 \u091b\u094b\u091f\u093e \u0935\u093e\u0915\u094d\u092f \u0939\u0948\u0964 \u0939\u092e \u0915\u0932 \u092c\u093e\u091c\u093e\u0930 \u0917\u090f \u0925\u0947 \u0914\u0930 \u0935\u0939\u093e\u0901 \u092c\u0939\u0941\u0924 \u0932\u094b\u0917 \u0925\u0947\u0964",
    "de": "Das ist ein kurzer Satz. Gestern waren wir auf dem Markt, und dort waren viele Leute.",
    "it": "Questa \u00e8 una frase breve. Ieri siamo andati al mercato e c'erano molte persone.",
    "pt": "Esta \u00e9 uma frase curta. Ontem fomos ao mercado e havia muitas pessoas.",
    "ru": "\u042d\u0442\u043e \u043a\u043e\u0440\u043e\u0442\u043a\u043e\u0435 \u043f\u0440\u0435\u0434\u043b\u043e\u0436\u0435\u043d\u0438\u0435. \u0412\u0447\u0435\u0440\u0430 \u043c\u044b \u0431\u044b\u043b\u0438 \u043d\u0430 \u0440\u044b\u043d\u043a\u0435, \u0438 \u0442\u0430\u043c \u0431\u044b\u043b\u043e \u043c\u043d\u043e\u0433\u043e \u043b\u044e\u0434\u0435\u0439.",
    "bg": "\u0422\u043e\u0432\u0430 \u0435 \u043a\u0440\u0430\u0442\u043a\u043e \u0438\u0437\u0440\u0435\u0447\u0435\u043d\u0438\u0435. \u0412\u0447\u0435\u0440\u0430 \u0431\u044f\u0445\u043c\u0435 \u043d\u0430 \u043f\u0430\u0437\u0430\u0440\u0430 \u0438 \u0442\u0430\u043c \u0438\u043c\u0430\u0448\u0435 \u043c\u043d\u043e\u0433\u043e \u0445\u043e\u0440\u0430.",
    "ko": "\uc774\uac83\uc740 \uc9e7\uc740 \ubb38\uc7a5\uc785\ub2c8\ub2e4. \uc5b4\uc81c \uc6b0\ub9ac\ub294 \uc2dc\uc7a5\uc5d0 \uac14\uace0 \uc0ac\ub78c\uc774 \ub9ce\uc558\uc2b5\ub2c8\ub2e4.",
    "ar": "\u0647\u0630\u0647 \u062c\u0645\u0644\u0629 \u0642\u0635\u064a\u0631\u0629. \u0630\u0647\u0628\u0646\u0627 \u0623\u0645\u0633 \u0625\u0644\u0649 \u0627\u0644\u0633\u0648\u0642 \u0648\u0643\u0627\u0646 \u0647\u0646\u0627\u0643 \u0643\u062b\u064a\u0631 \u0645\u0646 \u0627\u0644\u0646\u0627\u0633.",
    "fa": "\u0627\u06cc\u0646 \u06cc\u06a9 \u062c\u0645\u0644\u0647 \u06a9\u0648\u062a\u0627\u0647 \u0627\u0633\u062a. \u062f\u06cc\u0631\u0648\u0632 \u0628\u0647 \u0628\u0627\u0632\u0627\u0631 \u0631\u0641\u062a\u06cc\u0645 \u0648 \u0622\u0646\u062c\u0627 \u0645\u0631\u062f\u0645 \u0632\u06cc\u0627\u062f\u06cc \u0628\u0648\u062f\u0646\u062f.",
    "fi": "T\u00e4m\u00e4 on lyhyt lause. Eilen k\u00e4vimme torilla, ja siell\u00e4 oli paljon ihmisi\u00e4.",
    "vi": "\u0110\u00e2y l\u00e0 m\u1ed9t c\u00e2u ng\u1eafn. H\u00f4m qua ch\u00fang t\u00f4i \u0111i ch\u1ee3 v\u00e0 c\u00f3 r\u1ea5t nhi\u1ec1u ng\u01b0\u1eddi.",
    "sw": "Hii ni sentensi fupi. Jana tulienda sokoni na kulikuwa na watu wengi sana huko.",
    "en": "This is a short sentence. Yesterday we went to the market and there were many people.",
}


def is_decided(document):
    """The harness draws a letter by chance where one is asked for that is none."""
    return all(re.fullmatch("[a-zA-Z]", kwargs.get("letter") or "a") for kwargs in document["kwargs"])


def documents(root):
    lines = (root / "google/IFEval/default/train.jsonl").read_bytes().split(b"\n")
    return [document for document in (json.loads(line) for line in lines if line.strip()) if is_decided(document)]


class Writer:
    """Makes responses to a document."""

    def __init__(self, seed, sentences):
        self.random = random.Random(seed)
        self.sentences = sentences

    def near(self, number):
        return max(0, number + self.random.choice([-1, 0, 0, 1]))

    def sentence(self):
        return self.random.choice(FRAGMENTS if self.random.random() < 0.3 else self.sentences)

    def text(self, sentences):
        return " ".join(self.sentence() for _ in range(sentences))

    def follow(self, text, name, kwargs, prompt):
        """Changes a text so that it comes close to an instruction."""
        draw = self.random.choice
        number = next((value for value in kwargs.values() if isinstance(value, int) and value), 3)
        kind = name.split(":")[1]
        if kind == "english_capital":
            return text.upper()
        if kind == "english_lowercase":
            return text.lower()
        if kind == "response_language":
            return draw([TEXTS.get(kwargs["language"], text), draw(list(TEXTS.values())), text])
        if kind == "no_comma":
            return text.replace(",", draw(["", ";", ""]))
        if kind == "number_words":
            words = text.split() or ["word"]
            return " ".join(draw(words) for _ in range(self.near(min(number, 400))))
        if kind == "number_sentences":
            return self.text(self.near(min(number, 60)))
        if kind == "capital_word_frequency":
            words = text.split(" ")
            for _ in range(self.near(number)):
                index = self.random.randrange(len(words))
                words[index] = words[index].upper()
            return " ".join(words)
        if kind in ("existence", "forbidden_words", "frequency"):
            words = kwargs.get("keywords") or kwargs.get("forbidden_words") or [kwargs["keyword"]]
            count = self.near(number) if kind == "frequency" else 1
            added = [draw(["{}", "{}s", "*{}*", "un{}", "{}.", "{}_x", "{}\u0301", "\u00e9{}"]).format(word) for word in words for _ in range(count)]
            kept = [word for word in added if kind == "frequency" or self.random.random() < 0.6]
            return text + " " + " ".join(draw([str.upper, str.lower, str])(word) for word in kept)
        if kind == "letter_frequency":
            return text.replace(kwargs["letter"], draw(["", kwargs["letter"]])) + kwargs["letter"] * draw([0, 1, number])
        if kind == "number_paragraphs":
            return draw([" *** ", "\n***\n", "***", "\n\n***\n\n"]).join(self.text(1) for _ in range(max(1, self.near(number))))
        if kind == "nth_paragraph_first_word":
            parts = [self.text(1) for _ in range(max(1, self.near(kwargs["num_paragraphs"])))]
            index = min(kwargs["nth_paragraph"], len(parts)) - 1
            parts[index] = draw(["", '"', "*", "'"]) + draw([str.title, str.lower])(kwargs["first_word"]) + draw([" ", ", ", "s ", "! "]) + parts[index]
            return draw(["\n\n", "\n\n", "\n\n\n\n", "\n"]).join(parts)
        if kind == "number_placeholders":
            return text + " " + " ".join(draw(["[name]", "[a [b]", "[two\nlines]", "[]", "[x]]"]) for _ in range(self.near(number)))
        if kind == "postscript":
            return text + draw(["\n\n", "\n", " "]) + draw([kwargs["postscript_marker"], "P. S.", "p.p.s.", "PS", "P.P. S"]) + " " + self.text(1)
        if kind == "number_bullet_lists":
            return text + "\n" + "\n".join(draw(["* ", "* ", "- ", " - ", "** ", "\n* ", "*"]) + self.text(1) for _ in range(self.near(number)))
        if kind == "constrained_response":
            return draw(["My answer is yes.", "My answer is no.", "my answer is maybe.", "My answer is maybe.", "My answer is *yes*.", text])
        if kind == "number_highlighted_sections":
            return text + " " + " ".join(draw(["*a b*", "**c**", "***d***", "* *", "*e\nf*", "****"]) for _ in range(self.near(number)))
        if kind == "multiple_sections":
            word = kwargs["section_spliter"]
            return "\n".join(draw(["{} {}", "{} {}", "{}{}", "**{} {}**", "{}\t{}", "{}  {}"]).format(word, index + 1) + "\n" + self.text(1) for index in range(self.near(number)))
        if kind == "json_format":
            value = draw([{"a": [1, 2.5, None]}, [text], text, {"b": {"c": True}}])
            written = json.dumps(value, indent=draw([None, 2]), ensure_ascii=draw([True, False]))
            return draw(["{}", "```json\n{}\n```", "```\n{}```", "Here:\n{}", "{},", "```JSON{}```", "{}\nDone"]).format(written)
        if kind == "title":
            return draw(["<<A title>>\n", "<< >>\n", "<<<b>>>", "<<c\n>>", "*<<d>>*\n", "<e>"]) + text
        if kind == "two_responses":
            return draw(["******", "\n\n******\n\n", "***", "*******"]).join([text, draw([text, self.text(2)])] + [self.text(1)] * draw([0, 0, 1]))
        if kind == "repeat_prompt":
            return draw(["", "Sure.\n", "**"]) + draw([str, str.upper, str.lower])(kwargs["prompt_to_repeat"]) + draw(["\n\n", " "]) + text
        if kind == "end_checker":
            return text + " " + draw([str, str.lower, str.upper])(kwargs["end_phrase"]) + draw(["", '"', "\n", ".", "**", "\nBye"])
        if kind == "quotation":
            return draw(['"{}"', '"{}', '{}"', "\u201c{}\u201d", '"\n{}\n"', 'Sure:\n"{}"']).format(text)
        raise ValueError(f"no way to follow {name}")

    def disturb(self, text):
        """What chat models add, and what nobody does."""
        draw = self.random.choice
        if self.random.random() < 0.25:
            text = draw(["Sure! Here you go:\n", "\n", "**Answer**\n\n", " "]) + text
        if self.random.random() < 0.25:
            text += draw(["\nI hope this helps!", "\n", "\n\n***", " "])
        if self.random.random() < 0.15:
            text = draw([text.upper(), text.lower(), text.title(), text.replace(" ", "\n"), text.replace(".", "?")])
        for _ in range(draw([0, 0, 0, 1, 3])):
            index = self.random.randrange(len(text) + 1)
            text = text[:index] + draw(list(".,!?\"'()[]*-<>:;\n \t\u2019\u201d\u00bb\u2013\u00a0\x1c") + ["...", "\n\n", "******"]) + text[index + draw([0, 1]) :]
        return text

    def response(self, document):
        text = self.text(self.random.choice([1, 2, 3, 5, 8]))
        asked = list(zip(document["instruction_id_list"], document["kwargs"]))
        self.random.shuffle(asked)
        for name, kwargs in asked:
            if self.random.random() < 0.85:
                kwargs = {key: value for key, value in kwargs.items() if value}
                text = self.follow(text, name, kwargs, document["prompt"])
        return self.disturb(text)


def make(arguments):
    lines = (arguments.data_dir / "openai/gsm8k/main/test.jsonl").read_bytes().split(b"\n")
    stories = [json.loads(line)["question"] for line in lines if line.strip()]
    writer = Writer(arguments.seed, [sentence for story in stories for sentence in re.split(r"(?<=[.?!]) ", story)])
    found = documents(arguments.data_dir)
    with open(arguments.responses, "w", encoding="utf-8", newline="\n") as output:
        for index in range(arguments.count):
            document = found[index % len(found)]
            line = {"key": document["key"], "response": writer.response(document)}
            output.write(json.dumps(line) + "\n")


def checkers(root):
    """The harness's checkers of IFEval alone, without the harness round them, which needs torch."""
    data = Path(tempfile.mkdtemp())
    shutil.copytree(root / "nltk/punkt_tab", data / "tokenizers/punkt_tab")
    os.environ["NLTK_DATA"] = str(data)
    package = Path(importlib.util.find_spec("lm_eval").submodule_search_locations[0])
    for name, path in [("lm_eval", package), ("lm_eval.tasks", package / "tasks")]:
        sys.modules[name] = types.ModuleType(name)
        sys.modules[name].__path__ = [str(path)]
    from lm_eval.tasks.ifeval import utils

    # A text without a language is logged as an error and passes.
    logging.disable(logging.CRITICAL)
    return utils


def compare(arguments):
    found = {document["key"]: document for document in documents(arguments.data_dir)}
    samples = max(arguments.results.rglob("samples_ifeval_*.jsonl"), key=lambda path: path.stat().st_mtime)
    ours = [json.loads(line) for line in samples.read_bytes().split(b"\n") if line.strip()]
    lines = [json.loads(line) for line in arguments.responses.read_bytes().split(b"\n") if line.strip()]
    if [line["key"] for line in lines] != [sample["doc"]["key"] for sample in ours]:
        sys.exit(f"{samples} does not hold the responses of {arguments.responses} in their order")
    utils = checkers(arguments.data_dir)
    verdicts, differing, undecided = collections.Counter(), collections.Counter(), 0
    for line, sample in zip(lines, ours):
        document = found[line["key"]]
        runs = 3 if LANGUAGE & set(document["instruction_id_list"]) else 1
        results = [utils.process_results(document, [line["response"]]) for _ in range(runs)]
        if any(result != results[0] for result in results):
            undecided += 1
            continue
        for metric in ("inst_level_strict_acc", "inst_level_loose_acc"):
            for name, expected, verdict in zip(document["instruction_id_list"], results[0][metric], sample[metric]):
                verdicts[name] += 1
                if verdict != expected:
                    differing[name] += 1
                    print(f"{metric}, {name}: {expected} expected: {json.dumps(line)}")
    for name in sorted(verdicts):
        print(f"{name:48} {verdicts[name]:6} verdicts, {differing[name]} differ")
    language = [sum(counter[name] for name in LANGUAGE) for counter in (verdicts, differing)]
    rules = [sum(counter.values()) - part for counter, part in zip((verdicts, differing), language)]
    print(f"{len(lines)} responses, {undecided} left out; by rule {rules[0]} verdicts, {rules[1]} differ; by language {language[0]}, {language[1]}")
    sys.exit(rules[1] > 0 or language[1] * 50 > language[0])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    jobs = parser.add_subparsers(required=True)
    for job in (make, compare):
        job_parser = jobs.add_parser(job.__name__)
        job_parser.set_defaults(job=job)
        job_parser.add_argument("responses", type=Path)
        job_parser.add_argument("--data-dir", type=Path, required=True)
        if job is compare:
            job_parser.add_argument("results", type=Path)
        else:
            job_parser.add_argument("--count", type=int, default=3000)
            job_parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    arguments.job(arguments)


if __name__ == "__main__":
    main()
