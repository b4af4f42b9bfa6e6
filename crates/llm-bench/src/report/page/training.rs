//! Variants, learning curves and learned functions.

use std::fmt::Write;

use crate::BenchError;
use crate::report::contents::Report;
use crate::report::html::{escape, head, named, optional, table, thousands};
use crate::report::plot::{self, curves::Curve};
use crate::report::variant::{Run, Variant};

/// One row per variant: means over its runs.
pub(super) fn variants(report: &Report) -> String {
    if !report.is_trained() {
        return String::new();
    }
    let first = &report.variants()[0];
    let rows = report.variants().iter().enumerate().map(|(index, variant)| {
        let cells = [
            named(index, &variant.name),
            thousands(variant.parameters),
            variant.runs.len().to_string(),
            speed(variant, first),
            loss(variant, first),
            optional(mean(variant, held_out_loss), |loss| format!("{:.2}", loss.exp())),
        ];
        ("", cells.to_vec())
    });
    let rows: Vec<_> = rows.collect();
    let titles = head(&[
        "variant",
        "parameters",
        "seeds",
        "training tokens/s",
        "held-out loss (nats)",
        "perplexity",
    ]);
    format!(
        "<h2>Variants</h2>\n<p class=\"note\">Means over seeds; below a mean of several seeds, their range.</p>\n{}",
        table(&titles, &rows)
    )
}

fn held_out_loss(run: &Run) -> Option<f64> {
    run.held_out_loss
}

fn tokens_per_second(run: &Run) -> Option<f64> {
    run.tokens_per_second
}

/// The mean over all runs, if each has a value.
fn mean(variant: &Variant, value: fn(&Run) -> Option<f64>) -> Option<f64> {
    let values: Vec<f64> = variant.runs.iter().map(value).collect::<Option<_>>()?;
    Some(crate::stats::mean(&values)).filter(|mean| mean.is_finite())
}

fn rounded(speed: f64) -> String {
    thousands(speed.round() as usize)
}

fn speed(variant: &Variant, first: &Variant) -> String {
    match (mean(variant, tokens_per_second), mean(first, tokens_per_second)) {
        (Some(own), Some(base)) if variant != first && base > 0.0 => {
            format!("{}<small>{:.2}× the baseline</small>", rounded(own), own / base)
        }
        (own, _) => optional(own, rounded),
    }
}

fn loss(variant: &Variant, first: &Variant) -> String {
    let (own, base) = (mean(variant, held_out_loss), mean(first, held_out_loss));
    let Some(own) = own else {
        return "–".to_owned();
    };
    let losses = variant.runs.iter().filter_map(held_out_loss);
    let (low, high) = losses.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), loss| {
        (l.min(loss), h.max(loss))
    });
    match base {
        _ if variant.runs.len() > 1 => format!("{own:.4}<small>{low:.4} – {high:.4}</small>"),
        Some(base) if variant != first => format!("{own:.4}<small>{:+.4}</small>", own - base),
        _ => format!("{own:.4}"),
    }
}

/// Training and held-out loss over tokens.
pub(super) fn curves(report: &Report) -> Result<String, BenchError> {
    let (training, held_out) = (Curve::training(report.variants()), Curve::held_out(report.variants()));
    let mut html = String::new();
    if let Some(training) = training {
        let svg = plot::curves::draw(&training, "Training loss over tokens", None)?;
        let _ = write!(html, "<h3>Training loss</h3>\n<figure>{svg}</figure>\n");
    }
    if let Some(held_out) = held_out {
        let svg = plot::curves::draw(&held_out, "Held-out loss over tokens", report.criteria().target_loss)?;
        let _ = write!(html, "<h3>Held-out loss</h3>\n<figure>{svg}</figure>\n");
    }
    if html.is_empty() {
        return Ok(html);
    }
    let legend = report.variants().iter().enumerate();
    let legend: String = legend
        .map(|(index, variant)| format!("<span>{}</span>", named(index, &variant.name)))
        .collect();
    let note = match report.seeds().len() {
        1 => "Training loss is averaged over neighbouring steps where there are many.",
        _ => {
            "Line: mean over seeds. Band: from the lowest to the highest seed. Training loss is averaged over \
             neighbouring steps where there are many."
        }
    };
    Ok(format!(
        "<h2>Learning curves</h2>\n<p class=\"note\">{note}</p>\n<div class=\"legend\">{legend}</div>\n{html}"
    ))
}

pub(super) fn functions(report: &Report) -> Result<String, BenchError> {
    if report.variants().iter().all(|variant| variant.functions.is_empty()) {
        return Ok(String::new());
    }
    let mut html = String::from(
        "<h2>Learned functions</h2>\n<p class=\"note\">Solid: after training. Dashed: at the start.</p>\n\
         <div class=\"grid\">\n",
    );
    for variant in report.variants() {
        for function in &variant.functions {
            let caption = escape(&format!("{}: {}", variant.name, function.label));
            let _ = writeln!(
                html,
                "<figure>{}<figcaption>{caption}</figcaption></figure>",
                plot::function(function)?
            );
        }
    }
    html.push_str("</div>\n");
    Ok(html)
}
