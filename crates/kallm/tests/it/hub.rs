//! Hub ids, through a hub on the loopback address.

mod conversations;
mod models;
mod task_data;

use fixtures::hub::LoopbackHub;
use kallm::hub::{HubAccess, Retry};
use std::path::Path;
use std::time::Duration;

/// A way to the hub with an impatience fit for tests.
fn access(hub: &LoopbackHub, cache: &Path) -> HubAccess {
    HubAccess {
        endpoint: hub.endpoint(),
        cache_dir: Some(cache.to_owned()),
        timeout: Duration::from_millis(1500),
        retry: Retry {
            attempts: 2,
            first_wait: Duration::ZERO,
            ..Retry::default()
        },
        ..HubAccess::default()
    }
}
