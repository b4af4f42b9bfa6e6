//! Token, proxy, certificates.

use crate::setting::{files, same, setting};
use fixtures::hub::{Fault, LoopbackHub, LoopbackProxy};
use hub_cache::{HubError, is_mistyped_path};

#[test]
fn the_token_goes_to_the_hub_and_nowhere_else() {
    let mut setting = setting();
    setting.repo.access.token = Some("secret".to_owned());
    setting.fetch().unwrap();
    let requests = setting.hub.requests();
    let (hub, storage): (Vec<_>, Vec<_>) = requests
        .iter()
        .partition(|request| request.host.starts_with("127.0.0.1"));
    assert!(!hub.is_empty() && !storage.is_empty());
    assert!(
        hub.iter()
            .all(|request| request.authorization.as_deref() == Some("Bearer secret"))
    );
    assert!(
        storage.iter().all(|request| request.authorization.is_none()),
        "{storage:?}"
    );
    let shown = format!("{:?} {:?}", setting.repo, setting.repo.remote().unwrap());
    assert!(shown.contains("config.json") && !shown.contains("secret"), "{shown}");
}

#[test]
fn the_token_does_not_go_to_another_port_of_the_same_host() {
    let mut setting = setting();
    let storage = LoopbackHub::start();
    storage.add("models/owner/name", "main", files());
    setting.repo.access.token = Some("secret".to_owned());
    setting.hub.fail(Fault::StoredAt(storage.address()));
    same(&setting.fetch().unwrap());
    let requests = storage.requests();
    assert_eq!(requests.len(), 1);
    assert!(requests[0].host.starts_with("127.0.0.1"));
    assert_eq!(requests[0].authorization, None);
}

#[test]
fn the_token_follows_a_redirect_to_another_path() {
    let mut setting = setting();
    setting.repo.access.token = Some("secret".to_owned());
    setting.hub.fail(Fault::Moved);
    same(&setting.fetch().unwrap());
    let requests = setting.hub.requests();
    // The listing, and each file twice, but for the empty one.
    assert_eq!(requests.len(), 5);
    let authorizations = requests.iter().map(|request| request.authorization.as_deref());
    assert!(authorizations.into_iter().all(|token| token == Some("Bearer secret")));
}

#[test]
fn a_token_is_not_sent_in_clear() {
    let mut setting = setting();
    setting.repo.access.token = Some("secret".to_owned());
    for endpoint in ["http://hub.example", "http://192.0.2.1:8080/"] {
        setting.repo.access.endpoint = endpoint.to_owned();
        let error = setting.message();
        assert!(
            error.contains("token: expected an https endpoint") && error.contains(endpoint),
            "{error}"
        );
    }
    setting.repo.access.endpoint = setting.hub.endpoint();
    setting.repo.access.token = Some("sec\nret".to_owned());
    let error = setting.message();
    assert!(
        error.contains("token: expected one line") && !error.contains("sec"),
        "{error}"
    );
    assert!(setting.hub.requests().is_empty());
}

#[test]
fn every_connection_goes_through_the_proxy() {
    let mut setting = setting();
    let proxy = LoopbackProxy::start();
    setting.repo.access.proxy = Some(format!("http://{}", proxy.authority()));
    same(&setting.fetch().unwrap());
    let heads = proxy.heads();
    // The listing, the small file, and the large one with its redirect.
    assert_eq!(heads.len(), setting.hub.requests().len());
    let port = setting.hub.address().port();
    let to = |host: &str| {
        heads
            .iter()
            .any(|head| head.starts_with(&format!("CONNECT {host}:{port} ")))
    };
    assert!(to("127.0.0.1") && to("localhost"), "{heads:?}");
    assert!(
        heads
            .iter()
            .all(|head| !head.to_ascii_lowercase().contains("proxy-authorization"))
    );

    setting.repo.access.proxy = Some(format!("http://user:hidden@{}", proxy.authority()));
    setting.repo.remote().unwrap();
    let heads = proxy.heads();
    assert!(
        heads[0].to_ascii_lowercase().contains("proxy-authorization: basic "),
        "{heads:?}"
    );
    let shown = format!("{:?}", setting.repo);
    assert!(!shown.contains("hidden"), "{shown}");
}

#[test]
fn a_proxy_that_cannot_be_used_is_named_without_its_password() {
    let mut setting = setting();
    for proxy in [
        "user:hidden@localhost",
        "socks5://user:hidden@localhost:80",
        "http://",
        "",
    ] {
        setting.repo.access.proxy = Some(proxy.to_owned());
        let error = setting.message();
        assert!(
            error.contains("proxy: expected http://") && !error.contains("hidden"),
            "{proxy}: {error}"
        );
    }
    // Nobody listens there.
    let mut closed = LoopbackHub::start();
    closed.stop();
    setting.repo.access.proxy = Some(closed.endpoint().replace("http://", "http://user:hidden@"));
    let error = setting.message();
    assert!(
        error.contains("check the network and the proxy") && !error.contains("hidden"),
        "{error}"
    );
    assert!(setting.hub.requests().is_empty());
}

#[test]
fn a_file_without_certificates_is_named() {
    let mut setting = setting();
    let path = setting.cache.path().join("roots.pem");
    let damaged = "-----BEGIN CERTIFICATE-----\n*\n-----END CERTIFICATE-----\n";
    for text in [None, Some(""), Some("no certificate"), Some(damaged)] {
        if let Some(text) = text {
            std::fs::write(&path, text).unwrap();
        }
        setting.repo.access.ca_file = Some(path.clone());
        let error = setting.fetch().unwrap_err();
        assert!(matches!(error, HubError::Setting { setting: "CA file", .. }), "{error}");
        assert!(error.to_string().contains("roots.pem: "), "{error}");
    }
}

#[test]
fn an_endpoint_that_is_not_an_address_is_named() {
    let mut setting = setting();
    for endpoint in ["not an address", "hub.example", "ftp://hub.example", ""] {
        setting.repo.access.endpoint = endpoint.to_owned();
        let error = setting.message();
        assert!(
            error.contains("endpoint: expected an http://") && error.contains(endpoint),
            "{error}"
        );
    }
}

/// Tests run in the folder of their crate, which has a folder `src`.
#[test]
fn a_name_below_a_folder_that_exists_is_a_mistyped_path() {
    assert!(is_mistyped_path("src/lbi"));
    for id in ["owner/name", "src/lbi@main", "src", "src/a/b"] {
        assert!(!is_mistyped_path(id), "{id}");
    }
}
