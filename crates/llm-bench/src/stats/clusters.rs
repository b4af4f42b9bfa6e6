//! Documents that are not independent: questions on one passage, or variations of one problem.

use std::collections::HashMap;

use super::mean;
use super::student::TEstimate;
use crate::BenchError;

/// Standard error of the mean of values that are independent only between clusters (Liang and Zeger, *Biometrika* 73,
/// 1986), with the correction `G / (G - 1)` for `G` clusters; with a cluster for each value it is
/// [`mean_stderr`](super::mean_stderr). `None` for fewer than two clusters.
///
/// # Errors
/// When there is not one cluster per value, or a value is not finite.
pub fn clustered_stderr(values: &[f64], clusters: &[String]) -> Result<Option<f64>, BenchError> {
    super::check_finite(values)?;
    let centre = if values.is_empty() { 0.0 } else { mean(values) };
    let deviations: Vec<f64> = values.iter().map(|value| value - centre).collect();
    let sums = cluster_sums(&deviations, clusters)?;
    if sums.len() < 2 {
        return Ok(None);
    }
    let (count, squares) = (sums.len() as f64, sums.iter().map(|sum| sum * sum).sum::<f64>());
    Ok(Some((squares * count / (count - 1.0)).sqrt() / values.len() as f64))
}

/// The sum of the values of each cluster, in the order of their first values.
///
/// # Errors
/// When there is not one cluster per value.
pub fn cluster_sums(values: &[f64], clusters: &[String]) -> Result<Vec<f64>, BenchError> {
    if values.len() != clusters.len() {
        return Err(BenchError::Statistic {
            statistic: "clusters",
            problem: format!("{} clusters for {} values", clusters.len(), values.len()),
        });
    }
    let (mut places, mut sums) = (HashMap::new(), Vec::new());
    for (value, cluster) in values.iter().zip(clusters) {
        let place = *places.entry(cluster).or_insert(sums.len());
        if place == sums.len() {
            sums.push(0.0);
        }
        sums[place] += value;
    }
    Ok(sums)
}

/// The mean of paired differences, with one degree of freedom less than there are clusters.
pub(super) fn clustered_estimate(differences: &[f64], clusters: &[String]) -> Result<TEstimate, BenchError> {
    let Some(stderr) = clustered_stderr(differences, clusters)? else {
        return Err(BenchError::Statistic {
            statistic: "clustered comparison",
            problem: "at least 2 clusters are needed; documents of one cluster say nothing about others".to_owned(),
        });
    };
    Ok(TEstimate {
        centre: mean(differences),
        stderr,
        n: cluster_sums(differences, clusters)?.len(),
    })
}
