//! Checks whether the content of a folder was made with the same settings.

use serde_json::Value;

/// Why a folder whose settings are `found` cannot be continued with those `expected`; `None` when they are the same.
pub(super) fn difference(found: &Value, expected: &Value) -> Option<String> {
    first_difference("", found, expected).map(|difference| reason(&difference))
}

/// Why a study cannot be continued.
fn reason(difference: &str) -> String {
    if difference.starts_with("program.") {
        return "this folder holds a study by another build of this program, which may compute other numbers".into();
    }
    format!("this folder holds a study with other settings: {difference}")
}

/// The order in which settings are compared: what flags set, then the program, then the digests that follow from both.
fn rank(name: &str) -> usize {
    match name {
        "plan" => 0,
        "program" => 2,
        "data" | "start" => 3,
        _ => 1,
    }
}

/// The first place in which two settings differ, and how.
fn first_difference(place: &str, found: &Value, expected: &Value) -> Option<String> {
    let (Value::Object(there), Value::Object(here)) = (found, expected) else {
        return (found != expected).then(|| format!("{place} is {found} there and {expected} in this command"));
    };
    let mut names: Vec<&String> = there.keys().chain(here.keys()).collect();
    names.sort_by_key(|name| (rank(name), name.as_str()));
    names.into_iter().find_map(|name| {
        let place = match place {
            "" => name.clone(),
            above => format!("{above}.{name}"),
        };
        // An absent setting is indexed as null.
        first_difference(&place, &found[name], &expected[name])
    })
}
