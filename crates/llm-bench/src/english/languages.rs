//! Which language a text is in, by the frequencies of one to three characters: langdetect's method and profiles.

use fancy_regex::Regex;
use langdetect_rs::detector::Detector;
use langdetect_rs::detector_factory::DetectorFactory;
use langdetect_rs::utils::ngram::NGram;

/// The method draws at random which characters it looks at. Texts whose language depends on the draw are rare.
const SEED: u64 = 0;

/// A language that the crate adds to those of the original.
const ADDED: &str = "uz";

/// Characters that are looked at.
const LONGEST: usize = 10_000;

/// A detector that is used again for each text: making one copies its table, and compiles expressions for each text.
pub(super) struct Languages {
    detector: Detector,
    address: Regex,
    mail: Regex,
}

impl Languages {
    pub(super) fn new() -> Self {
        let mut factory = DetectorFactory::default().build();
        factory.delete_profile(ADDED).expect("the profile is built in");
        Self {
            detector: Detector::new(factory.word_lang_prob_map, factory.langlist, Some(SEED)),
            address: compiled("https?://[-_.?&~;+=/#0-9A-Za-z]{1,2076}"),
            mail: compiled("[-_.0-9A-Za-z]{1,64}@[-_0-9A-Za-z]{1,255}[-_.0-9A-Za-z]{1,255}"),
        }
    }

    /// The ISO 639-1 code; `None` for a text in which nothing tells languages apart.
    pub(super) fn detect(&mut self, text: &str) -> Option<String> {
        let text = self.address.replace_all(text, " ");
        let text = NGram::normalize_vi(&self.mail.replace_all(&text, " "));
        self.detector.text.clear();
        self.detector.langprob = None;
        for c in text.chars().take(LONGEST) {
            if c != ' ' || !self.detector.text.ends_with(' ') {
                self.detector.text.push(c);
            }
        }
        self.detector.detect().ok()
    }
}

fn compiled(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the expression is valid")
}
