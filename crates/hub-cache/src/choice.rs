//! Files of a repository that the caller chooses by their names.

use std::path::PathBuf;

use crate::{HubError, HubRepo, Snapshot};

impl HubRepo {
    /// The paths in the cache of the files that `choose` picks from the names in the repository. Missing files are
    /// downloaded.
    ///
    /// If all chosen files are in the cache, the network is not used. Python's client stores no listing, so a cache
    /// that it has filled is used only if the hub cannot be reached.
    ///
    /// # Errors
    /// The error of `choose` for the names that the hub lists, and [`HubError`] if the files are not available.
    pub fn files<E: From<HubError>>(
        &self,
        choose: impl Fn(&[&str]) -> Result<Vec<String>, E>,
    ) -> Result<Vec<PathBuf>, E> {
        let cached = self.cached()?;
        let listed = cached
            .as_ref()
            .and_then(|snapshot| Some((snapshot, snapshot.listing.as_ref()?)));
        if let Some(files) = listed.and_then(|(snapshot, names)| held(snapshot, names, &choose)) {
            return Ok(files);
        }
        match self.remote() {
            Ok(remote) => {
                let names: Vec<&str> = remote.names().collect();
                let chosen = choose(&names)?.into_iter();
                let files = chosen.map(|name| remote.fetch(&name));
                let files = files.collect::<Result<Vec<PathBuf>, HubError>>()?;
                remote.finish()?;
                Ok(files)
            }
            Err(error @ (HubError::Unreachable { .. } | HubError::Unavailable { .. } | HubError::NoNetwork { .. })) => {
                let python = cached.filter(|snapshot| snapshot.listing.is_none());
                let files = python.and_then(|snapshot| held(&snapshot, &snapshot.names(), &choose));
                files.ok_or(error.into())
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// The chosen files, if the snapshot has all of them.
fn held<E>(
    snapshot: &Snapshot,
    names: &[String],
    choose: impl Fn(&[&str]) -> Result<Vec<String>, E>,
) -> Option<Vec<PathBuf>> {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let chosen = choose(&names).ok()?.into_iter();
    chosen.map(|name| snapshot.file(&name)).collect()
}
