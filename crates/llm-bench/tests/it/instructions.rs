//! Every type of instruction on short responses. The verdicts are those of lm-evaluation-harness 0.4.13 with nltk 3.10.4
//! and langdetect 1.0.9, given the same small model of sentences.

use serde_json::{Value, json};

use crate::ifeval::{judged, responses, small_root, values};

/// An instruction, and responses with the strict and the loose verdict, all of them the original's.
type Case = (&'static str, Value, &'static [(&'static str, bool, bool)]);

fn check(cases: &[Case]) {
    let instructions: Vec<_> = cases.iter().map(|(id, kwargs, _)| (*id, kwargs.clone())).collect();
    let root = small_root(&instructions);
    let numbered = cases.iter().enumerate();
    let lines: Vec<(usize, &str)> = numbered
        .flat_map(|(key, (_, _, answers))| answers.iter().map(move |(text, _, _)| (key, *text)))
        .collect();
    let evaluation = judged(root.path(), &responses(root.path(), &lines)).unwrap();
    let (strict, loose) = (
        values(&evaluation, "inst_level_strict_acc"),
        values(&evaluation, "inst_level_loose_acc"),
    );
    let expected = cases
        .iter()
        .flat_map(|(id, _, answers)| answers.iter().map(move |answer| (id, answer)));
    let mut checked = 0;
    for (((id, (text, expected_strict, expected_loose)), strict), loose) in expected.zip(strict).zip(loose) {
        assert_eq!(strict, &json!([expected_strict]), "strict, {id}: {text:?}");
        assert_eq!(loose, &json!([expected_loose]), "loose, {id}: {text:?}");
        checked += 1;
    }
    assert_eq!(checked, lines.len());
}

#[test]
fn instructions_of_case() {
    check(&[
        (
            "change_case:capital_word_frequency",
            json!({"capital_frequency": 3, "capital_relation": "at least"}),
            &[
                ("ONE TWO-THREE four FIVE.", true, true),
                ("ONE TWO-THREE four", false, false),
                ("CANNOT WAIT", true, true),
                ("I'M \"HERE\".", true, true),
                ("*A*\nB C\nd", true, true),
                ("\u{1c5} \u{2160} \u{24b6} X", true, true),
            ],
        ),
        (
            "change_case:capital_word_frequency",
            json!({"capital_frequency": 2, "capital_relation": "less than"}),
            &[
                ("Dr. A B. The end", false, false),
                ("GOTTA", false, false),
                ("DON'T", false, false),
                ("WE'LL", false, false),
                ("'TIS so", true, true),
                ("a 'TWAS b", true, true),
                ("'TWAS b", true, true),
                ("A--b", true, true),
                ("A\u{2014}B", false, false),
                ("N'T", true, true),
            ],
        ),
        (
            "change_case:english_capital",
            json!({}),
            &[
                ("THIS IS ALL IN ENGLISH AND NOTHING ELSE IS SAID HERE", true, true),
                ("This is not", false, false),
                ("DIES IST EIN DEUTSCHER SATZ UND NICHTS ANDERES", false, false),
                ("123", false, false),
                ("\u{1c5} THIS IS ALL IN ENGLISH", false, false),
            ],
        ),
        (
            "change_case:english_lowercase",
            json!({}),
            &[
                ("this is all in english and nothing else is said here", true, true),
                ("This is not", false, false),
                ("dies ist ein deutscher satz und nichts anderes", false, false),
                ("Sure:\nthis is all in english and nothing else", false, true),
            ],
        ),
    ]);
}

#[test]
fn instructions_of_combination() {
    check(&[
        (
            "combination:repeat_prompt",
            json!({"prompt_to_repeat": " Say Hello. "}),
            &[
                ("say hello. Hello!", true, true),
                ("Sure!\nSay hello.  Hello", false, true),
                ("Hello", false, false),
                (" \u{1c}SAY HELLO.", true, true),
                ("**Say Hello.**", false, true),
            ],
        ),
        (
            "combination:two_responses",
            json!({}),
            &[
                ("a******b", true, true),
                ("a ****** a", false, false),
                ("******a******b", true, true),
                ("a******b******", true, true),
                ("a******b******c", false, false),
                ("a******\n******b", false, false),
                ("a*******b", true, true),
                ("x\na******b", true, true),
                ("a", false, false),
            ],
        ),
    ]);
}

#[test]
fn instructions_of_content() {
    check(&[
        (
            "detectable_content:number_placeholders",
            json!({"num_placeholders": 2}),
            &[
                ("[a] [b]", true, true),
                ("[a [b] c]", false, false),
                ("[a\n] [b]", false, false),
                ("[][]", true, true),
                ("[a] b]", false, false),
                ("[[a]]]", false, false),
            ],
        ),
        (
            "detectable_content:postscript",
            json!({"postscript_marker": "P.S."}),
            &[
                ("Bye\nP.S. more", true, true),
                ("p. s. more", true, true),
                ("PS. more", false, false),
                ("p.s more", false, false),
                ("x p.\u{1c}s.", true, true),
            ],
        ),
        (
            "detectable_content:postscript",
            json!({"postscript_marker": "P.P.S"}),
            &[
                ("P.P.S. more", true, true),
                ("p. p. s", true, true),
                ("P.P. more", false, false),
                ("p.p.\ns", true, true),
            ],
        ),
        (
            "detectable_content:postscript",
            json!({"postscript_marker": "N.B"}),
            &[("n.b this", true, true), ("nxb", true, true), ("nb", false, false)],
        ),
    ]);
}

#[test]
fn instructions_of_format() {
    check(&[
        (
            "detectable_format:constrained_response",
            json!({}),
            &[
                ("Well. My answer is no. Bye", true, true),
                ("my answer is no.", false, false),
                ("My answer is *no*.", false, true),
                ("My answer is maybe!", false, false),
                ("My answer is My answer is yes.", true, true),
            ],
        ),
        (
            "detectable_format:json_format",
            json!({}),
            &[
                ("{\"a\": [1, -0.5e+3, NaN, \"\\ud800\\n\"]}", true, true),
                ("```json\n{}\n```", true, true),
                ("```\n[1]```", true, true),
                ("Here:\n```JSON\n[]\n```", false, true),
                ("[1,]", false, false),
                ("{\"a\": 1,}", false, false),
                ("01", false, false),
                ("-", false, false),
                ("1e999", true, true),
                ("\"a\tb\"", false, false),
                ("[\"\\x\"]", false, false),
                ("nul", false, false),
                ("[[], {}, \"\"] x", false, false),
                ("Infinity", true, true),
                ("{\"a\" 1}", false, false),
                ("{1: 2}", false, false),
                ("\u{a0}[ ]\u{a0}", true, true),
                ("1.", false, false),
                ("1e", false, false),
            ],
        ),
        (
            "detectable_format:multiple_sections",
            json!({"num_sections": 2, "section_spliter": "Section"}),
            &[
                ("Section 1 a Section 2 b", true, true),
                ("Section1Section\t22", true, true),
                ("section 1 Section 2", false, false),
                ("Section  1 Section 2", false, false),
                ("Section\u{1d}1 Section \u{663}", true, true),
            ],
        ),
        (
            "detectable_format:number_bullet_lists",
            json!({"num_bullets": 2}),
            &[
                ("* a\n* b", true, true),
                ("- a\n - b\n- c", false, true),
                ("* a\n** b\n*c", true, true),
                ("\n\n  * a\n\n\n- b", true, true),
                ("*\nb\n- c", true, true),
                ("Intro\n* a\n* b\n* c", false, true),
                ("-a-b\n--", true, true),
                ("*", false, false),
                ("a * b\n* c\n- d", true, true),
            ],
        ),
        (
            "detectable_format:number_highlighted_sections",
            json!({"num_highlights": 2}),
            &[
                ("*a* and *b*", true, true),
                ("**a** and *b*", true, true),
                ("**a**", false, false),
                ("** ** *b*", false, false),
                ("*a\nb* *c*", false, false),
                ("***a*** *b*", true, true),
                ("* * *b* *c*", true, true),
                ("**a* b** *c*", false, false),
            ],
        ),
        (
            "detectable_format:title",
            json!({}),
            &[
                ("<<A title>>", true, true),
                ("<< >>", false, false),
                ("<<<a>>", true, true),
                ("<<a\n>>", false, false),
                ("<<>>>", false, false),
                ("<<> <>>", true, true),
                ("a >> << b", false, false),
                ("*<<a>*>", false, true),
            ],
        ),
    ]);
}

#[test]
fn instructions_of_keywords() {
    check(&[
        (
            "keywords:existence",
            json!({"keywords": ["Elm", "r.se"]}),
            &[
                ("elms ROSE", true, true),
                ("elm rise", true, true),
                ("elm", false, false),
                ("elm ros", false, false),
            ],
        ),
        (
            "keywords:forbidden_words",
            json!({"forbidden_words": ["can", "no"]}),
            &[
                ("cannot nor", true, true),
                ("Yes I CAN", false, false),
                ("no", false, false),
                ("can_not", true, true),
                ("*can*\nYes", false, true),
                ("caf\u{e9}can", true, true),
                ("can\u{301}", false, false),
                ("can\u{b2}", true, true),
                ("piccan", true, true),
            ],
        ),
        (
            "keywords:frequency",
            json!({"keyword": "ab", "frequency": 2, "relation": "at least"}),
            &[
                ("ABab", true, true),
                ("aab", false, false),
                ("ab\nx\nab", true, true),
                ("a*b ab", false, true),
            ],
        ),
        (
            "keywords:frequency",
            json!({"keyword": "ab", "frequency": 2, "relation": "less than"}),
            &[
                ("ABab", false, false),
                ("aab", true, true),
                ("ab\nx ab", false, true),
                ("ab\nab", false, true),
            ],
        ),
        (
            "keywords:letter_frequency",
            json!({"letter": "I", "let_frequency": 2, "let_relation": "at least"}),
            &[
                ("i I", true, true),
                ("ix", false, false),
                ("\u{130}i", true, true),
                ("\u{131}i", false, false),
            ],
        ),
        (
            "keywords:letter_frequency",
            json!({"letter": "s", "let_frequency": 2, "let_relation": "less than"}),
            &[("ss", false, false), ("S", true, true), ("s\nS", false, true)],
        ),
    ]);
}

#[test]
fn instructions_of_length() {
    check(&[
        (
            "length_constraints:nth_paragraph_first_word",
            json!({"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "Then"}),
            &[
                ("a\n\nThen b", true, true),
                ("a\n\n'\"then, b", true, true),
                ("a\n\nthe\u{43d} b", false, false),
                ("a\n\n\n\nThen", false, false),
                ("x\n\na\n\nThen b", false, true),
                ("a\n\nthen's b", true, true),
                ("\n\nthen\n\nb", true, true),
                ("a\n\n*then b", false, true),
            ],
        ),
        (
            "length_constraints:number_paragraphs",
            json!({"num_paragraphs": 2}),
            &[
                ("a***b", true, true),
                ("a *** b ***", true, true),
                ("***a***b***", true, true),
                ("a******b", false, false),
                ("a*** ***b", false, false),
                ("a", false, false),
                ("a****b", true, true),
                ("Hi\na***b***c", false, false),
            ],
        ),
        (
            "length_constraints:number_sentences",
            json!({"num_sentences": 3, "relation": "at least"}),
            &[
                ("One. Two! Three?", true, true),
                ("Dr. Smith runs. The U.S. The end.", true, true),
                ("St. Louis is e.g. here. A. Smith. b", true, true),
                ("One... two. 3. Four", true, true),
                ("\"One.\" (Two.) 'Three.'", true, true),
                ("One.\u{201d} Two.\u{201d} Three.\u{201d}", true, true),
                ("What?! No!! a.b.c", true, true),
                ("One.\nTwo.\n\nThree.", true, true),
                ("Wait . . . what. No. x", true, true),
                ("One.) -- two.)-- three. four", true, true),
                ("Hello world", false, false),
                ("3.5 is 1. The 2. run", false, false),
                ("a.\"b.\"c. d", false, false),
                ("J. Smith. K. Run. L. run", true, true),
            ],
        ),
        (
            "length_constraints:number_sentences",
            json!({"num_sentences": 3, "relation": "less than"}),
            &[
                ("One. Two! Three?", false, false),
                ("Dr. Smith runs. The U.S. The end.", false, false),
                ("The U.S. Smith e.g. the Dr. The end", true, true),
                ("One. Two.\nThree.", false, true),
            ],
        ),
        (
            "length_constraints:number_words",
            json!({"num_words": 3, "relation": "at least"}),
            &[
                ("one two three", true, true),
                ("it's ok", true, true),
                ("a-b c", true, true),
                ("x\u{b2} y\u{b2}", false, false),
                (
                    "\u{939}\u{93f}\u{928}\u{94d}\u{926}\u{940} \u{92d}\u{93e}\u{937}\u{93e}",
                    false,
                    false,
                ),
                ("a_b c d", true, true),
            ],
        ),
        (
            "length_constraints:number_words",
            json!({"num_words": 3, "relation": "less than"}),
            &[
                ("one two three", false, false),
                ("one two", true, true),
                ("Sure\none two", false, true),
                ("a * b", true, true),
            ],
        ),
    ]);
}

#[test]
fn instructions_of_punctuation() {
    check(&[(
        "punctuation:no_comma",
        json!({}),
        &[
            ("a b", true, true),
            ("a, b", false, false),
            ("a,\nb", false, true),
            ("a\u{ff0c}b", true, true),
        ],
    )]);
}

#[test]
fn instructions_of_ends() {
    check(&[
        (
            "startend:end_checker",
            json!({"end_phrase": " The End. "}),
            &[
                ("It is the end.", true, true),
                ("\"The End.\" ", true, true),
                ("The End!", false, false),
                ("the end.\nBye", false, true),
                ("the end.*", false, true),
                ("**The End.**", false, true),
            ],
        ),
        (
            "startend:quotation",
            json!({}),
            &[
                ("\"a\"", true, true),
                ("\"", false, false),
                ("\"a\" b", false, false),
                ("Sure:\n\"a\"", false, true),
                ("\"\"", true, true),
                ("'a'", false, false),
                ("*\"a\"*", false, true),
            ],
        ),
    ]);
}

#[test]
fn instructions_of_language() {
    check(&[(
        "language:response_language",
        json!({"language": "de"}),
        &[
            ("Dies ist ein deutscher Satz und nichts anderes.", true, true),
            ("This is not German at all.", false, false),
            ("12:30", true, true),
            ("https://a.b/ the", false, false),
        ],
    )]);
}
