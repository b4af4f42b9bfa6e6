//! Flags for access to the hub.

use crate::progress::transfers;
use anyhow::{Context, Result, bail};
use clap::Args;
use hub_cache::is_mistyped_path;
use smollm2_model::weights::{HubAccess, ModelSource};
use smoltalk_data::Source;
use std::path::{Path, PathBuf};

/// The flags of every example that takes a hub id.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Hub")]
pub struct HubFlags {
    /// Address of the hub or of a mirror.
    #[arg(long, value_name = "URL", default_value_t = HubAccess::default().endpoint)]
    pub hub_endpoint: String,
    /// Cache folder for files from the hub [default: .cache/huggingface/hub in the home directory]
    #[arg(long, value_name = "FOLDER")]
    pub hub_cache: Option<PathBuf>,
    /// File with an access token for private repositories. The token is sent only to the endpoint, over https.
    #[arg(long, value_name = "FILE")]
    pub hub_token_file: Option<PathBuf>,
    /// HTTP proxy for the hub, http://USER:PASSWORD@HOST:PORT. Without it no proxy is used.
    #[arg(long, value_name = "URL")]
    pub hub_proxy: Option<String>,
    /// PEM file of root certificates to trust instead of the compiled-in ones of Mozilla.
    #[arg(long, value_name = "FILE")]
    pub hub_ca_file: Option<PathBuf>,
}

impl HubFlags {
    /// The flags as the libraries take them.
    ///
    /// # Errors
    /// When the token file cannot be read.
    pub fn access(&self) -> Result<HubAccess> {
        let read = |path: &PathBuf| {
            std::fs::read_to_string(path).with_context(|| format!("--hub-token-file: cannot read {}", path.display()))
        };
        let token = self.hub_token_file.as_ref().map(read).transpose()?;
        Ok(HubAccess {
            endpoint: self.hub_endpoint.clone(),
            cache_dir: self.hub_cache.clone(),
            token: token.map(|token| token.trim().to_owned()),
            proxy: self.hub_proxy.clone(),
            ca_file: self.hub_ca_file.clone(),
            progress: Some(transfers()),
            ..HubAccess::default()
        })
    }

    /// The folder or file of a model; a hub id is fetched, unless the cache has it.
    ///
    /// # Errors
    /// When the model cannot be fetched.
    pub fn model(&self, source: &ModelSource) -> Result<ModelSource> {
        let mut source = source.clone();
        if let ModelSource::Hub(model) = &mut source {
            model.access = self.access()?;
        }
        Ok(source.resolve()?)
    }

    /// Conversations from a file, a folder, or, if there is neither, a hub id.
    ///
    /// # Errors
    /// When there are none.
    pub fn conversations(&self, name: &Path) -> Result<Source> {
        let is_data_file = name
            .extension()
            .is_some_and(|extension| ["json", "jsonl", "parquet"].iter().any(|known| extension == *known));
        let id = name.to_str().filter(|_| !name.exists() && !is_data_file);
        if let Some(id) = id.filter(|id| is_mistyped_path(id)) {
            bail!(
                "{id}: no such file or folder; since its parent folder exists it is not taken for a hub id: correct the \
                 path, or write {id}@main for the repository on the hub"
            );
        }
        let source = match id.map(|id| self.fetched(id)).transpose()?.flatten() {
            Some(fetched) => fetched,
            None => Source::open(name)?,
        };
        // Found here, and not when a model is loaded and converted.
        let mut bad = None;
        for found in source.conversations() {
            match found {
                Ok(_) => return Ok(source),
                Err(error) if error.is_bad_record() => {
                    bad.get_or_insert(error);
                }
                Err(error) => return Err(error.into()),
            }
        }
        match bad {
            Some(error) => Err(error.into()),
            None => bail!(
                "{}: expected conversations, found none; is the file empty?",
                name.display()
            ),
        }
    }
}

impl HubFlags {
    /// The conversations of a hub id; `None` if the text is not a hub id.
    #[cfg(feature = "hub")]
    fn fetched(&self, id: &str) -> Result<Option<Source>> {
        use kallm::hub::HubDataset;
        let Ok(dataset) = id.parse::<HubDataset>() else {
            return Ok(None);
        };
        let access = self.access()?;
        Ok(Some(HubDataset { access, ..dataset }.fetch()?))
    }

    /// This build has no hub.
    #[cfg(not(feature = "hub"))]
    fn fetched(&self, _id: &str) -> Result<Option<Source>> {
        Ok(None)
    }
}

#[cfg(all(test, feature = "hub"))]
mod tests {
    use super::*;
    use clap::Parser;
    use fixtures::hub::{LoopbackHub, LoopbackProxy, folder_files};
    use fixtures::shared;

    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        hub: HubFlags,
    }

    /// Tests run in the folder of their crate, which has a folder `src`.
    #[test]
    fn a_mistyped_path_is_an_error_before_any_request() {
        let hub = LoopbackHub::start();
        let flags = Flags::parse_from(["example", "--hub-endpoint", &hub.endpoint()]).hub;
        let error = flags.conversations(Path::new("src/trian")).unwrap_err().to_string();
        assert!(
            error.contains("src/trian: no such file") && error.contains("src/trian@main"),
            "{error}"
        );
        let error = "src/trian".parse::<ModelSource>().unwrap_err().to_string();
        assert!(error.contains("`src/trian`: expected a folder"), "{error}");
        assert!(hub.requests().is_empty());
    }

    #[test]
    fn ids_are_fetched_as_the_flags_say_and_paths_are_not() {
        let (Some(model), Some(data)) = (shared("models/tiny-swiglu"), shared("data/sft/everyday")) else {
            return;
        };
        let hub = LoopbackHub::start();
        hub.add("models/owner/tiny", "v1", folder_files(&model));
        hub.add("datasets/owner/talk", "main", folder_files(&data));
        let folder = tempfile::tempdir().unwrap();
        let (cache, token) = (folder.path().join("cache"), folder.path().join("token"));
        let proxy = LoopbackProxy::start();
        std::fs::write(&token, "secret\n").unwrap();
        let path = |path: &PathBuf| path.display().to_string();
        let given = [
            ("--hub-endpoint", hub.endpoint()),
            ("--hub-cache", path(&cache)),
            ("--hub-token-file", path(&token)),
            ("--hub-proxy", format!("http://{}", proxy.authority())),
        ];
        let words = given.iter().flat_map(|(flag, value)| [*flag, value.as_str()]);
        let flags = Flags::parse_from(std::iter::once("example").chain(words)).hub;

        let local = flags.model(&ModelSource::Folder(model.clone())).unwrap();
        assert_eq!(local, ModelSource::Folder(model));
        let count = |source: Source| source.conversations().filter(Result::is_ok).count();
        assert_eq!(count(flags.conversations(&data).unwrap()), 2000);
        let absent = flags.conversations(Path::new("owner/talk.jsonl")).unwrap_err();
        assert!(absent.to_string().contains("owner/talk.jsonl"), "{absent}");
        assert!(hub.requests().is_empty());

        let fetched = flags.model(&"owner/tiny@v1".parse().unwrap()).unwrap();
        let ModelSource::Folder(snapshot) = fetched else {
            panic!("a folder is expected")
        };
        assert!(snapshot.starts_with(&cache) && snapshot.join("model.safetensors").is_file());
        assert_eq!(count(flags.conversations(Path::new("owner/talk")).unwrap()), 2000);
        let asked = hub.requests();
        assert_eq!(proxy.heads().len(), asked.len());
        let to_hub: Vec<_> = asked
            .iter()
            .filter(|request| request.host.starts_with("127."))
            .collect();
        assert!(to_hub.len() >= 4);
        assert!(
            to_hub
                .iter()
                .all(|request| request.authorization.as_deref() == Some("Bearer secret"))
        );
    }
}
