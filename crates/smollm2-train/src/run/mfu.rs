//! Model FLOPs utilisation.

use crate::{TrainBackend, Trainer};

impl<AB: TrainBackend, O> Trainer<AB, O> {
    /// Model FLOPs utilisation: 6 per parameter and token plus `12 L H C T` for attention (Chowdhery et al., PaLM,
    /// appendix B), over the device's dense bf16 peak.
    pub(super) fn mfu(&self, tokens_per_second: f64, device: Option<&str>) -> Option<f64> {
        let model = self.model().config();
        let attention = 12 * model.num_hidden_layers * model.num_attention_heads * model.head_dim;
        let length = self.config.data.sequence_length;
        let per_token = 6.0 * model.num_parameters() as f64 + attention as f64 * length as f64;
        Some(per_token * tokens_per_second / device_peak(device?)?)
    }
}

/// Dense bf16 peaks in FLOP/s, by words of the device's name, from the vendors' data sheets (without sparsity). The
/// first match counts.
const PEAKS: [(&str, f64); 11] = [
    ("GH200", 989e12),
    ("H200", 989e12),
    ("H100 PCIe", 756e12),
    ("H100 NVL", 835e12),
    ("H100", 989e12),
    ("A100", 312e12),
    ("A10", 125e12),
    ("L40S", 362e12),
    ("L40", 181e12),
    ("L4", 121e12),
    ("RTX 4090", 165e12),
];

/// Peak bf16 arithmetic of a device by name, FLOP/s; `None` when it is not in the table, because a guessed figure is
/// worse than none.
pub fn device_peak(name: &str) -> Option<f64> {
    let name = words(name);
    PEAKS
        .iter()
        .find(|(part, _)| contains(&name, &words(part)))
        .map(|(_, peak)| *peak)
}

fn words(text: &str) -> Vec<&str> {
    text.split(|c: char| !c.is_alphanumeric()).collect()
}

/// Whether the words of `part` occur in `name` next to each other. Only whole words match: an L40 is not an L4, and an
/// A1000 is not an A100.
fn contains(name: &[&str], part: &[&str]) -> bool {
    name.windows(part.len()).any(|found| found == part)
}
