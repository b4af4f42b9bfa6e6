//! What is asked again, and what is not.

use crate::setting::{LARGE, files, same, setting};
use fixtures::hub::Fault;
use hub_cache::{HubError, TransferEvent};
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn busy(times: usize, status: u16, headers: &'static str) -> Fault {
    Fault::Busy { times, status, headers }
}

#[test]
fn a_busy_hub_is_asked_again() {
    for (fault, reason) in [
        (busy(2, 503, ""), "listing: status 503; next attempt in "),
        (busy(1, 500, ""), "status 500"),
        (busy(1, 408, ""), "status 408"),
        (busy(2, 429, "retry-after: 0\r\n"), "status 429"),
        (
            busy(1, 429, "retry-after: Sun, 06 Nov 1994 08:49:37 GMT\r\n"),
            "status 429",
        ),
        (busy(1, 429, "ratelimit: \"api\";r=0;t=0\r\n"), "status 429"),
        (Fault::HangUp(2), "listing: "),
    ] {
        let mut setting = setting();
        let notices = setting.notices();
        setting.hub.fail(fault);
        same(&setting.fetch().unwrap());
        let notices = notices.lock().unwrap();
        assert!(notices[0].contains(reason), "{fault:?}: {notices:?}");
    }
}

#[test]
fn a_file_is_asked_for_again() {
    for fault in [busy(2, 503, ""), Fault::HangUp(2)] {
        let setting = setting();
        let remote = setting.repo.remote().unwrap();
        setting.hub.fail(fault);
        for name in files().keys() {
            remote.fetch(name).unwrap();
        }
        remote.finish().unwrap();
        same(&setting.repo.cached().unwrap().unwrap().folder);
    }
}

#[test]
fn a_wait_that_the_hub_asks_for_is_kept() {
    let mut setting = setting();
    let waits = Arc::new(Mutex::new(Vec::new()));
    let kept = waits.clone();
    setting.on_notice(move |event| {
        if let TransferEvent::Retrying { wait, .. } = event {
            kept.lock().unwrap().push(wait);
        }
    });
    setting.hub.fail(busy(1, 429, "retry-after: 1\r\n"));
    same(&setting.fetch().unwrap());
    assert_eq!(*waits.lock().unwrap(), [Duration::from_secs(1)]);
}

#[test]
fn a_longer_wait_than_allowed_ends_the_attempts() {
    let setting = setting();
    setting.hub.fail(busy(9, 429, "retry-after: 7200\r\n"));
    let error = setting.message();
    assert!(error.contains("status 429 and asks to wait 7200s"), "{error}");
    assert_eq!(setting.hub.requests().len(), 1);
}

#[test]
fn the_number_of_attempts_is_bounded() {
    for status in [429, 500, 503] {
        let setting = setting();
        setting.hub.fail(Fault::Status(status));
        let error = setting.fetch().unwrap_err();
        assert!(
            matches!(error, HubError::Unavailable { status: found, .. } if found == status),
            "{error}"
        );
        assert_eq!(setting.hub.requests().len(), 3);
    }
}

#[test]
fn what_does_not_change_is_not_asked_again() {
    for fault in [
        Fault::Status(400),
        Fault::Status(401),
        Fault::Status(403),
        Fault::Status(404),
        Fault::Nonsense,
    ] {
        let setting = setting();
        setting.hub.fail(fault);
        setting.message();
        assert_eq!(setting.hub.requests().len(), 1, "{fault:?}");
    }
}

/// The port is closed, and open again after the first failure.
#[test]
fn a_refused_connection_is_tried_again() {
    let mut setting = setting();
    let listed = setting.repo.remote().unwrap();
    setting.hub.stop();
    let hub = Arc::new(Mutex::new(setting.hub));
    let refusing = hub.clone();
    let notices = Arc::new(Mutex::new(Vec::new()));
    let kept = notices.clone();
    let restart = move |event: TransferEvent<'_>| {
        kept.lock().unwrap().push(event.to_string());
        refusing.lock().unwrap().restart();
    };
    setting.repo.access.progress = Some(hub_cache::TransferProgress::new(move |event| match event {
        TransferEvent::Bytes { .. } => {}
        notice => restart(notice),
    }));
    drop(listed);
    let remote = setting.repo.remote().unwrap();
    // The same for a file, after the hub has answered.
    hub.lock().unwrap().stop();
    remote.fetch("config.json").unwrap();
    let notices = notices.lock().unwrap();
    assert_eq!(notices.len(), 2, "{notices:?}");
    assert!(
        notices[0].starts_with("listing: ") && notices[1].starts_with("config.json: "),
        "{notices:?}"
    );
}

#[test]
fn a_transfer_that_goes_on_and_on_too_slowly_is_given_up() {
    let mut setting = setting();
    setting.repo.access.timeout = Duration::from_millis(1500);
    setting.repo.access.retry.attempts = 2;
    setting.hub.fail(Fault::Drip);
    let error = setting.message();
    assert!(
        error.contains("large.bin") && error.contains("expected 1048576 bytes"),
        "{error}"
    );
    assert_eq!(setting.storage_requests().len(), 2);
    setting.holds_only_complete_files();
}

#[test]
fn attempts_that_bring_something_are_not_counted() {
    let setting = setting();
    setting.hub.fail(Fault::Halves);
    let error = setting.message();
    assert!(error.contains("large.bin"), "{error}");
    // 512, 256, 128 and 64 KiB are progress, 32 and 16 are not.
    let found = LARGE - (16 << 10);
    assert!(error.contains(&format!("found {found}:")), "{error}");
    assert_eq!(setting.storage_requests().len(), 6);
}
