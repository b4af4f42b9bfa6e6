//! Flags for access to the hub.

use crate::progress::transfers;
use anyhow::{Context, Result};
use clap::Args;
use kallm::hub::{self, HubAccess, HubModel, ModelSource};
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
        let token = self.hub_token_file.as_deref().map(read_token).transpose()?;
        Ok(HubAccess {
            endpoint: self.hub_endpoint.clone(),
            cache_dir: self.hub_cache.clone(),
            token,
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
    pub fn model(&self, source: &ModelSource) -> Result<PathBuf> {
        match source {
            ModelSource::Path(path) => Ok(path.clone()),
            ModelSource::Hub(model) => {
                let access = self.access()?;
                Ok(HubModel {
                    access,
                    ..HubModel::clone(model)
                }
                .fetch()?)
            }
        }
    }

    /// Conversations from a file, a folder, or, if there is neither, a hub id.
    ///
    /// # Errors
    /// When there are none.
    pub fn conversations(&self, name: &Path) -> Result<Source> {
        Ok(hub::conversations(name, &self.access()?)?)
    }
}

fn read_token(path: &Path) -> Result<String> {
    let text = std::fs::read_to_string(path);
    let text = text.with_context(|| format!("--hub-token-file: cannot read {}", path.display()))?;
    Ok(text.trim().to_owned())
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
            error.contains("src/trian: expected a file") && error.contains("(@main)"),
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

        let local = flags.model(&ModelSource::Path(model.clone())).unwrap();
        assert_eq!(local, model);
        let count = |source: Source| source.conversations().filter(Result::is_ok).count();
        assert_eq!(count(flags.conversations(&data).unwrap()), 2000);
        let absent = flags.conversations(Path::new("owner/talk.jsonl")).unwrap_err();
        assert!(absent.to_string().contains("owner/talk.jsonl"), "{absent}");
        assert!(hub.requests().is_empty());

        let snapshot = flags.model(&"owner/tiny@v1".parse().unwrap()).unwrap();
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
