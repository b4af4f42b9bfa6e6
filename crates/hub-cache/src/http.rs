//! GET, and nothing else.

use std::io::Read;

#[cfg(feature = "net")]
pub(crate) use net::Client;

#[cfg(not(feature = "net"))]
pub(crate) use absent::Client;

/// What came back; the body is still to be read.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_range: Option<String>,
    pub(crate) body: Box<dyn Read>,
}

#[cfg(feature = "net")]
mod net {
    use super::Answer;
    use crate::HubAccess;
    use std::fmt;
    use ureq::config::RedirectAuthHeaders;
    use ureq::http::Uri;
    use ureq::{Agent, Proxy};

    pub(crate) struct Client {
        agent: Agent,
        token: Option<String>,
    }

    /// Does not show the token.
    impl fmt::Debug for Client {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.debug_struct("Client").finish_non_exhaustive()
        }
    }

    impl Client {
        pub(crate) fn new(access: &HubAccess) -> Option<Self> {
            let wait = Some(access.timeout);
            let no_proxy: Option<Proxy> = None;
            let agent = Agent::config_builder()
                .http_status_as_error(false)
                // The client's default is to read environment variables.
                .proxy(no_proxy)
                .redirect_auth_headers(RedirectAuthHeaders::SameHost)
                .timeout_resolve(wait)
                .timeout_connect(wait)
                .timeout_recv_response(wait)
                // A budget for each read, not for the body: a large file may take hours, but not stand still.
                .timeout_per_read(wait)
                .user_agent(concat!("kallm/", env!("CARGO_PKG_VERSION")))
                .build();
            Some(Self {
                agent: agent.into(),
                token: access.token.clone(),
            })
        }

        /// The answer to a GET, from a byte on where one is given.
        pub(crate) fn get(&self, url: &str, from: Option<u64>) -> Result<Answer, String> {
            let url: Uri = url.parse().map_err(|error| format!("`{url}` is no address: {error}"))?;
            // A length is of the bytes sent, so they must be those of the file.
            let mut request = self.agent.get(url).header("accept-encoding", "identity");
            if let Some(token) = &self.token {
                request = request.header("authorization", format!("Bearer {token}"));
            }
            if let Some(from) = from {
                request = request.header("range", format!("bytes={from}-"));
            }
            let response = request.call().map_err(|error| error.to_string())?;
            let content_range = response.headers().get("content-range");
            Ok(Answer {
                status: response.status().as_u16(),
                content_range: content_range.and_then(|value| value.to_str().ok()).map(str::to_owned),
                body: Box::new(response.into_body().into_reader()),
            })
        }
    }
}

#[cfg(not(feature = "net"))]
mod absent {
    use super::Answer;
    use crate::HubAccess;

    #[derive(Debug)]
    pub(crate) enum Client {}

    impl Client {
        pub(crate) fn new(_: &HubAccess) -> Option<Self> {
            None
        }

        pub(crate) fn get(&self, _: &str, _: Option<u64>) -> Result<Answer, String> {
            match *self {}
        }
    }
}
