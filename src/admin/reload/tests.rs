//! A reload as time passes: by which clock it judges, and what is said of one that takes long.

use std::sync::mpsc;
use std::thread;

use super::*;
use crate::admin::testing::House;
use crate::base::limits::RANGE_LIST_DAYS_MAX;

const DAY: i64 = 86_400_000;

#[tokio::test]
async fn the_age_of_a_list_is_judged_by_the_time_of_the_reload() {
    let house = House::open("trusted_proxies = [\"cloudflare\"]").await;
    assert_eq!(house.reloader.reload().await.unwrap().warnings, [""; 0]);
    house.clock.advance((RANGE_LIST_DAYS_MAX + 31) * DAY);
    let warnings = house.reloader.reload().await.unwrap().warnings;
    assert!(
        matches!(&warnings[..], [old] if old.contains("ranges cloudflare") && old.contains("days old")),
        "{warnings:?}"
    );
}

#[tokio::test]
async fn whoever_waits_too_long_is_told_that_it_goes_on() {
    let house = House::open("").await;
    let (reloader, (held, holds)) = (Arc::clone(&house.reloader), mpsc::channel());
    let (release, released) = mpsc::channel::<()>();
    let long_one = thread::spawn(move || {
        let _turn = reloader.turn.lock().unwrap();
        held.send(()).unwrap();
        released.recv().unwrap_err();
    });
    holds.recv().unwrap();
    tokio::time::pause();
    let asking = house.reloader.reload();
    let (asked, ()) = tokio::join!(asking, tokio::time::advance(RELOAD_WAIT * 2));
    tokio::time::resume();
    let error = asked.unwrap_err();
    assert!(matches!(error, ReloadError::UnderWay) && error.hint().contains("doorward status"), "{error:?}");
    // Who asks how things are does not wait for it.
    assert_eq!(house.reloader.describe()["reloading"], true);
    drop(release);
    long_one.join().unwrap();
    while house.reloader.describe()["reloading"] == true {
        tokio::task::yield_now().await;
    }
    assert!(house.reloader.reload().await.is_ok());
}
