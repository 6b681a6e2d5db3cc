//! The invite survives a restart, for exactly as long as was said, and is had once.

use super::super::testing::*;
use super::super::*;
use crate::base::limits::INVITE_LIFE_SECONDS_MAX;
use crate::base::secret::Fingerprint;
use crate::pairing::invite::InviteId;
use crate::pairing::invite::Redeemed;
use crate::pairing::invite::usual_scopes;
use crate::pairing::step::InviteEnd;

const LIFE: i64 = INVITE_LIFE_SECONDS_MAX as i64 * 1_000;
const DAY: i64 = 86_400_000;

#[tokio::test]
async fn an_invite_is_read_back_as_it_was_made_and_as_it_was_had() {
    let (folder, store) = fresh().await;
    let store = store.by(Clock::fixed(NOW));
    assert_eq!(store.invite().await.unwrap(), None);
    let open = invite(NOW);
    store.commit(&[written(&open)], &act("invite")).await.unwrap();
    close(store).await;
    let store = Store::open(&file(&folder)).await.unwrap().by(Clock::fixed(NOW));
    assert_eq!(store.invite().await.unwrap(), Some(open.clone()));
    let had = Invite { redeemed: Some(Redeemed { device: known_id(1), at: NOW.plus(7) }), ..open.clone() };
    store.commit(&[put(&device(1)), written(&had)], &act("connect")).await.unwrap();
    assert_eq!(store.invite().await.unwrap(), Some(had.clone()));
    let end = Change::DropInvite { id: had.id, end: InviteEnd::Redeemed };
    store.commit(&[end], &act("expire")).await.unwrap();
    assert_eq!(store.invite().await.unwrap(), None);
    let all = Filter { most: usize::MAX, ..Filter::default() };
    let entries = store.audit(&all).await.unwrap();
    let told: Vec<_> = entries.iter().map(|entry| entry["change"].as_str().unwrap()).collect();
    assert_eq!(told, ["invite.put", "device.put", "invite.redeemed"]);
    assert_eq!(entries[2]["device"], known_id(1).to_string());
    assert_eq!(entries[0]["detail"]["invite"], open.id.to_string());
    let text = serde_json::to_string(&entries).unwrap();
    assert!(!text.contains(&open.secret.to_hex()), "the hash is nobody's to read: {text}");
}

#[tokio::test]
async fn no_jump_of_the_clock_makes_an_invite_live_longer_or_shorter() {
    for jump in [DAY, -DAY, -60_000, 60_000, 10 * 365 * DAY, -NOW.0, LIFE, -LIFE] {
        let (_folder, store) = fresh().await;
        let clock = Clock::fixed(NOW);
        let store = store.by(clock.clone());
        store.commit(&[written(&invite(NOW))], &act("invite")).await.unwrap();
        clock.advance(LIFE / 2);
        clock.set(clock.now().plus(jump));
        clock.advance(LIFE / 2 - 1);
        assert!(is_open(&store, &clock).await, "it is over early after a jump by {jump} ms");
        clock.advance(1);
        assert!(!is_open(&store, &clock).await, "it lives on after a jump by {jump} ms");
        clock.set(NOW);
        assert!(!is_open(&store, &clock).await, "it came back when the clock was set right");
    }
}

#[tokio::test]
async fn a_restart_keeps_an_invite_open_and_a_start_of_the_machine_ends_it() {
    let (folder, store) = fresh().await;
    let clock = Clock::fixed(NOW);
    let store = store.by(clock.clone());
    store.commit(&[written(&invite(NOW))], &act("invite")).await.unwrap();
    clock.advance(LIFE - 1_000);
    close(store).await;
    let again = Store::open(&file(&folder)).await.unwrap().by(clock.clone());
    clock.set(NOW.plus(-DAY));
    assert!(is_open(&again, &clock).await);
    clock.advance(1_000);
    assert!(!is_open(&again, &clock).await);
    let fresh = invite(clock.now());
    again.commit(&[written(&fresh)], &act("invite")).await.unwrap();
    let other = again.by(Clock::system());
    assert!(other.invite().await.unwrap().unwrap().is_over(Clock::system().now()));
}

#[tokio::test]
async fn a_restored_backup_opens_no_invite() {
    let (folder, store) = fresh().await;
    let (path, clock) = (file(&folder), Clock::system());
    store.commit(&[written(&invite(clock.now()))], &act("invite")).await.unwrap();
    let backup = store.backup(None).await.unwrap();
    assert!(is_open(&store, &clock).await);
    close(store).await;
    Store::restore(&path, &backup, &clock).await.unwrap();
    let store = Store::open(&path).await.unwrap();
    assert_eq!(store.invite().await.unwrap(), None);
}

fn invite(at: UnixMillis) -> Invite {
    let secret = Fingerprint::of(b"doorward-invite-x");
    Invite { id: InviteId::random(), secret, scopes: usual_scopes(), made_at: at, life_ms: LIFE, redeemed: None }
}

pub(super) fn written(invite: &Invite) -> Change {
    Change::PutInvite(Box::new(invite.clone()))
}

async fn is_open(store: &Store, clock: &Clock) -> bool {
    store.invite().await.unwrap().unwrap().is_open(clock.now())
}

pub(super) fn an_open_one() -> Change {
    written(&invite(NOW))
}
