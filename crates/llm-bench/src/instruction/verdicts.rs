//! How a response is judged: as it is, or with allowance for what chat models add.

use super::Check;
use crate::english::English;
use crate::expression::ExpressionError;
use crate::python_text::strip;

/// How much is allowed for.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Strictness {
    /// The response as it is.
    Strict,
    /// An instruction is followed if it is in the response as it is, without its asterisks, without its first or last
    /// line or both, or without some of the lines and the asterisks.
    Loose,
}

impl Strictness {
    /// One verdict per instruction. A response of white space alone follows none.
    pub(crate) fn verdicts(
        self,
        response: &str,
        instructions: &[Check],
        english: &English,
    ) -> Result<Vec<bool>, ExpressionError> {
        let mut readings = self.readings(response);
        readings.retain(|reading| !strip(reading).is_empty());
        let verdicts = instructions.iter().map(|instruction| {
            for reading in &readings {
                if instruction(reading, english)? {
                    return Ok(true);
                }
            }
            Ok(false)
        });
        verdicts.collect()
    }

    /// The texts of which one must follow an instruction. Each is there once.
    fn readings(self, response: &str) -> Vec<String> {
        let mut readings = vec![response.to_owned()];
        if self == Self::Strict {
            return readings;
        }
        let after_first = response.split_once('\n').map_or("", |(_, rest)| rest);
        let before_last = response.rsplit_once('\n').map_or("", |(rest, _)| rest);
        let between = after_first.rsplit_once('\n').map_or("", |(rest, _)| rest);
        readings.extend([after_first, before_last, between].map(|text| strip(text).to_owned()));
        for index in 0..readings.len() {
            let plain = readings[index].replace('*', "");
            readings.push(plain);
        }
        let mut distinct: Vec<String> = Vec::with_capacity(readings.len());
        for reading in readings {
            if !distinct.contains(&reading) {
                distinct.push(reading);
            }
        }
        distinct
    }
}
