//! The HTTP client: ureq, configured to ignore environment variables.

use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, SystemTime};

use ureq::config::Config;
use ureq::http::{HeaderMap, HeaderValue, Response, Uri, header};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body, Proxy};

use super::{Answer, Failure, PacedBody};
use crate::{HubAccess, HubError, HubRepo};

/// Redirects followed for one request.
const REDIRECTS: usize = 10;

pub(crate) struct Client {
    agent: Agent,
    endpoint: Origin,
    authorization: Option<HeaderValue>,
    timeout: Duration,
}

/// Does not show the token.
impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

impl Client {
    pub(crate) fn new(repo: &HubRepo) -> Result<Self, HubError> {
        let access = &repo.access;
        let endpoint = access.endpoint.parse().ok().and_then(|uri| Origin::of(&uri));
        let endpoint = endpoint.ok_or_else(|| {
            let found = format!("`{}`", access.endpoint);
            repo.setting_error("endpoint", "an http:// or https:// address", found)
        })?;
        let authorization = match &access.token {
            Some(token) => Some(authorization(repo, token, &endpoint)?),
            None => None,
        };
        Ok(Self {
            agent: config(repo)?.into(),
            endpoint,
            authorization,
            timeout: access.timeout,
        })
    }

    /// The response to a GET, from byte `from` if given. `longest` limits the complete exchange.
    pub(crate) fn get(&self, url: &str, from: Option<u64>, longest: Option<Duration>) -> Result<Answer, Failure> {
        let mut uri: Uri = url
            .parse()
            .map_err(|error| Failure::Lasting(format!("`{url}` is not an address: {error}").into()))?;
        for _ in 0..=REDIRECTS {
            let response = self.request(&uri, from, longest).map_err(failure)?;
            if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
                return Ok(self.answer(response));
            }
            uri = redirected(&uri, &response)?;
        }
        Err(Failure::Lasting(format!("more than {REDIRECTS} redirects").into()))
    }

    fn request(&self, uri: &Uri, from: Option<u64>, longest: Option<Duration>) -> Result<Response<Body>, ureq::Error> {
        // The listed length is that of the uncompressed file, so the body must not be compressed.
        let mut request = self.agent.get(uri).header(header::ACCEPT_ENCODING, "identity");
        let is_endpoint = Origin::of(uri).is_some_and(|origin| origin == self.endpoint);
        if let Some(token) = self.authorization.as_ref().filter(|_| is_endpoint) {
            request = request.header(header::AUTHORIZATION, token);
        }
        if let Some(from) = from {
            request = request.header(header::RANGE, format!("bytes={from}-"));
        }
        request.config().timeout_global(longest).build().call()
    }

    fn answer(&self, response: Response<Body>) -> Answer {
        let headers = response.headers();
        Answer {
            status: response.status().as_u16(),
            content_range: text(headers, "content-range").map(str::to_owned),
            asked: asked_wait(headers, SystemTime::now()),
            body: PacedBody::new(Box::new(response.into_body().into_reader()), self.timeout),
        }
    }
}

fn config(repo: &HubRepo) -> Result<Config, HubError> {
    let HubAccess {
        timeout,
        proxy,
        ca_file,
        ..
    } = &repo.access;
    let wait = Some(*timeout);
    let mut tls = TlsConfig::builder();
    if let Some(path) = ca_file {
        tls = tls.root_certs(roots(repo, path)?);
    }
    let config = Agent::config_builder()
        .http_status_as_error(false)
        // Redirects are followed here, because ureq compares only host names before it forwards a token.
        .max_redirects(0)
        // Without this ureq reads environment variables.
        .proxy(proxy.as_deref().map(|url| parse_proxy(repo, url)).transpose()?)
        .tls_config(tls.build())
        .timeout_resolve(wait)
        .timeout_connect(wait)
        .timeout_send_request(wait)
        .timeout_recv_response(wait)
        // A limit on each read, not on the body: a large file may take hours.
        .timeout_per_read(wait)
        .user_agent(concat!("kallm/", env!("CARGO_PKG_VERSION")));
    Ok(config.build())
}

/// The address may contain a password, so no message quotes it.
fn parse_proxy(repo: &HubRepo, url: &str) -> Result<Proxy, HubError> {
    let is_http = url.starts_with("http://") || url.starts_with("https://");
    let proxy = Proxy::new(url).ok().filter(|_| is_http);
    let expected = "http://[user:password@]host:port, or the same with https";
    proxy.ok_or_else(|| repo.setting_error("proxy", expected, "another form".to_owned()))
}

fn roots(repo: &HubRepo, path: &Path) -> Result<RootCerts, HubError> {
    let bytes = fs::read(path).map_err(|error| roots_error(repo, path, &error.to_string()))?;
    let items: Result<Vec<PemItem>, _> = parse_pem(&bytes).collect();
    let items = items.map_err(|error| roots_error(repo, path, &error.to_string()))?;
    let certificates: Vec<Certificate<'static>> = items
        .into_iter()
        .filter_map(|item| match item {
            PemItem::Certificate(certificate) => Some(certificate),
            _ => None,
        })
        .collect();
    if certificates.is_empty() {
        return Err(roots_error(repo, path, "no certificate"));
    }
    Ok(RootCerts::from(certificates))
}

fn roots_error(repo: &HubRepo, path: &Path, found: &str) -> HubError {
    let found = format!("{}: {found}", path.display());
    repo.setting_error("CA file", "a PEM file with certificates", found)
}

fn authorization(repo: &HubRepo, token: &str, endpoint: &Origin) -> Result<HeaderValue, HubError> {
    if !endpoint.keeps_secrets() {
        let expected = "an https endpoint, since plain http would show the token to everyone on the way";
        return Err(repo.setting_error("token", expected, format!("`{}`", repo.access.endpoint)));
    }
    let value = HeaderValue::try_from(format!("Bearer {token}"));
    let mut value =
        value.map_err(|_| repo.setting_error("token", "one line of visible ASCII characters", "others".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

/// The server that may receive a token.
#[derive(PartialEq, Eq)]
struct Origin {
    is_https: bool,
    host: String,
    port: u16,
}

impl Origin {
    fn of(uri: &Uri) -> Option<Self> {
        let is_https = match uri.scheme_str()? {
            "http" => false,
            "https" => true,
            _ => return None,
        };
        Some(Self {
            is_https,
            host: uri.host()?.to_ascii_lowercase(),
            port: uri.port_u16().unwrap_or(if is_https { 443 } else { 80 }),
        })
    }

    /// Whether a secret sent there cannot be read in transit.
    fn keeps_secrets(&self) -> bool {
        let address = self.host.trim_start_matches('[').trim_end_matches(']');
        let is_this_machine = address.parse().is_ok_and(|address: IpAddr| address.is_loopback());
        self.is_https || is_this_machine || self.host == "localhost"
    }
}

/// The target of a redirect: an address, or a path on the same server.
fn redirected<T>(from: &Uri, response: &Response<T>) -> Result<Uri, Failure> {
    let status = response.status().as_u16();
    let location = text(response.headers(), "location")
        .ok_or_else(|| Failure::Lasting(format!("status {status} is missing a location header").into()))?;
    let scheme = from.scheme_str().expect("an address that was asked has a scheme");
    let absolute = match from.authority() {
        _ if location.starts_with("//") => format!("{scheme}:{location}"),
        Some(authority) if location.starts_with('/') => format!("{scheme}://{authority}{location}"),
        _ => location.to_owned(),
    };
    let uri: Option<Uri> = absolute.parse().ok().filter(|uri| Origin::of(uri).is_some());
    let uri = uri.ok_or_else(|| {
        let expected = "an http:// or https:// address, or a path that begins with /";
        Failure::Lasting(format!("redirect to `{location}`: expected {expected}").into())
    })?;
    if scheme == "https" && uri.scheme_str() != Some("https") {
        let reason = format!("redirect from https to `{location}`, which is not encrypted");
        return Err(Failure::Lasting(reason.into()));
    }
    Ok(uri)
}

/// The wait that `Retry-After` (seconds or a date) or `RateLimit` (`"api";r=0;t=55`) asks for.
fn asked_wait(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    if let Some(value) = text(headers, "retry-after") {
        if let Ok(seconds) = value.trim().parse() {
            return Some(Duration::from_secs(seconds));
        }
        let date = httpdate::parse_http_date(value).ok()?;
        return Some(date.duration_since(now).unwrap_or_default());
    }
    let limit = text(headers, "ratelimit")?;
    let (remaining, reset) = (parameter(limit, "r")?, parameter(limit, "t")?);
    (remaining == 0).then(|| Duration::from_secs(reset))
}

fn parameter(header: &str, name: &str) -> Option<u64> {
    let parameters = header.split(';').filter_map(|part| part.trim().split_once('='));
    let mut values = parameters.filter(|(key, _)| key.trim() == name);
    values.next()?.1.trim().parse().ok()
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn failure(error: ureq::Error) -> Failure {
    use ErrorKind::{
        BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset, HostUnreachable, InvalidData, InvalidInput,
        NetworkDown, NetworkUnreachable, TimedOut, UnexpectedEof, WouldBlock,
    };
    match &error {
        ureq::Error::Timeout(_) | ureq::Error::ConnectionFailed => Failure::Passing(error.into()),
        ureq::Error::HostNotFound => Failure::NoHost(error.into()),
        ureq::Error::Io(io) => match io.kind() {
            BrokenPipe | ConnectionAborted | ConnectionRefused | ConnectionReset | HostUnreachable | NetworkDown
            | NetworkUnreachable | TimedOut | UnexpectedEof | WouldBlock => Failure::Passing(error.into()),
            // TLS: a certificate that is not trusted, a server without TLS.
            InvalidData | InvalidInput => Failure::Lasting(error.into()),
            // The standard library has no kind for a name that cannot be resolved.
            _ => Failure::NoHost(error.into()),
        },
        _ => Failure::Lasting(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(text: &str) -> Option<Origin> {
        Origin::of(&text.parse().unwrap())
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let hub = origin("https://hub.example/a");
        for same in ["https://hub.example:443/b", "https://HUB.example"] {
            assert!(origin(same) == hub, "{same}");
        }
        for other in [
            "http://hub.example",
            "https://hub.example:8443",
            "https://cdn.hub.example",
            "https://hub.example.com",
        ] {
            assert!(origin(other) != hub, "{other}");
        }
        assert!(origin("ftp://hub.example").is_none() && origin("/path").is_none());
    }

    #[test]
    fn only_https_and_this_machine_keep_secrets() {
        for safe in [
            "https://a.b",
            "http://127.0.0.1:8080",
            "http://[::1]:80",
            "http://localhost",
        ] {
            assert!(origin(safe).unwrap().keeps_secrets(), "{safe}");
        }
        for open in [
            "http://hub.example",
            "http://10.0.0.1",
            "http://localhost.example",
            "http://127.0.0.1.nip.io",
        ] {
            assert!(!origin(open).unwrap().keeps_secrets(), "{open}");
        }
    }

    fn follow(from: &str, to: &str) -> Result<String, String> {
        let response = Response::builder().status(302).header("location", to).body(()).unwrap();
        match redirected(&from.parse().unwrap(), &response) {
            Ok(uri) => Ok(uri.to_string()),
            Err(Failure::Lasting(cause)) => Err(cause.to_string()),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn redirects_lead_to_addresses_and_paths_but_not_out_of_encryption() {
        let hub = "https://hub.example:8443/a/b?c=d";
        assert_eq!(follow(hub, "/e?f").unwrap(), "https://hub.example:8443/e?f");
        assert_eq!(follow(hub, "//cdn.example/e").unwrap(), "https://cdn.example/e");
        assert_eq!(follow(hub, "https://cdn.example/e").unwrap(), "https://cdn.example/e");
        assert_eq!(follow("http://a.b/c", "http://d.e/").unwrap(), "http://d.e/");
        for (to, message) in [
            ("http://cdn.example/", "not encrypted"),
            ("e/f", "expected an http"),
            ("file:///etc/passwd", "expected an http"),
            ("", "expected an http"),
        ] {
            let error = follow(hub, to).unwrap_err();
            assert!(error.contains(message), "{to}: {error}");
        }
    }

    fn asked(name: &'static str, value: &str) -> Option<u64> {
        let headers = HeaderMap::from_iter([(name.parse().unwrap(), value.parse().unwrap())]);
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:00 GMT").unwrap();
        asked_wait(&headers, now).map(|wait| wait.as_secs())
    }

    #[test]
    fn a_wait_is_read_in_each_of_its_forms() {
        assert_eq!(asked("retry-after", "120"), Some(120));
        assert_eq!(asked("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT"), Some(37));
        assert_eq!(asked("retry-after", "Sunday, 06-Nov-94 08:49:37 GMT"), Some(37));
        assert_eq!(asked("retry-after", "Sun, 06 Nov 1994 08:00:00 GMT"), Some(0));
        assert_eq!(asked("ratelimit", "\"api\";r=0;t=55"), Some(55));
        for (name, value) in [
            ("retry-after", "soon"),
            ("retry-after", "-1"),
            ("ratelimit", "\"api\";r=10;t=55"),
            ("ratelimit", "\"api\";r=0"),
            ("date", "120"),
        ] {
            assert_eq!(asked(name, value), None, "{name}: {value}");
        }
    }

    fn io_failure(kind: ErrorKind) -> Failure {
        failure(ureq::Error::Io(kind.into()))
    }

    #[test]
    fn failures_that_another_attempt_may_mend_are_told_apart() {
        assert!(matches!(io_failure(ErrorKind::ConnectionRefused), Failure::Passing(_)));
        assert!(matches!(io_failure(ErrorKind::ConnectionReset), Failure::Passing(_)));
        assert!(matches!(io_failure(ErrorKind::InvalidData), Failure::Lasting(_)));
        assert!(matches!(io_failure(ErrorKind::Other), Failure::NoHost(_)));
        assert!(matches!(failure(ureq::Error::HostNotFound), Failure::NoHost(_)));
    }
}
