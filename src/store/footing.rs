//! On what footing devices that another gateway had paired stand here.

use std::sync::Arc;

use crate::pairing::device::DeviceId;
use crate::pairing::import::Footing;
use crate::store::Store;
use crate::store::devices;
use crate::store::error::StoreError;
use crate::store::revoked;
use crate::store::revoked::Revoked;

impl Store {
    /// What is known of each of these devices. What was removed is remembered beside the store.
    ///
    /// # Errors
    /// As [`Store::known`].
    pub async fn footings(&self, ids: &[DeviceId]) -> Result<Vec<Footing>, StoreError> {
        let mut connection = self.connection.lock().await;
        let last = revoked::last_taken(&mut connection).await.map_err(StoreError::Query)?;
        let path = Arc::clone(&self.path);
        let read = tokio::task::spawn_blocking(move || Revoked::read(&path, last)).await;
        let revoked = self.read(read.unwrap_or_else(|ended| Err(StoreError::Thread(ended))))?;
        let mut footings = Vec::with_capacity(ids.len());
        for id in ids {
            let paired = self.read(devices::load(&mut connection, id).await)?;
            footings.push(match paired {
                Some(_) => Footing::Paired,
                None => revoked.footing(id),
            });
        }
        Ok(footings)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::base::limits::REJECTED_MAX;
    use crate::base::limits::TAKEN_BACK_MAX;
    use crate::pairing::step::Change;
    use crate::pairing::step::Past;
    use crate::pairing::step::RequestEnd;
    use crate::store::testing::{act, close, device, file, fresh, known_id, put, request};

    #[tokio::test]
    async fn who_was_rejected_is_remembered_and_what_ended_otherwise_is_not() {
        let (folder, store) = fresh().await;
        let ends = [RequestEnd::Rejected, RequestEnd::Displaced, RequestEnd::Expired];
        for (seed, end) in (1..).zip(ends) {
            let request = request(seed);
            store.commit(&[Change::PutRequest(Box::new(request.clone()))], &act("test")).await.unwrap();
            store.commit(&[Change::DropRequest { id: request.id, end }], &act("test")).await.unwrap();
        }
        close(store).await;
        let store = Store::open(&file(&folder)).await.unwrap();
        for (seed, past) in [(1, Past::Rejected), (2, Past::Blank), (3, Past::Blank)] {
            assert_eq!(store.past(&known_id(seed)).await.unwrap(), past, "{seed}");
        }
        // It may still move in from another gateway: there it was paired.
        assert_eq!(store.footings(&[known_id(1)]).await.unwrap(), [Footing::New]);
        store.commit(&[Change::DropDevice(known_id(1))], &act("test")).await.unwrap();
        assert_eq!(store.past(&known_id(1)).await.unwrap(), Past::Removed);
        let path = file(&folder);
        let flood: Vec<DeviceId> = (0..REJECTED_MAX).map(|number| format!("{number:064x}").parse().unwrap()).collect();
        Revoked::add(&path, None, Vec::new(), &[known_id(2)]).unwrap();
        Revoked::add(&path, None, Vec::new(), &flood).unwrap();
        assert_eq!(store.past(&known_id(2)).await.unwrap(), Past::Blank, "the latest are remembered");
        assert_eq!(store.past(&flood[0]).await.unwrap(), Past::Rejected);
    }

    #[tokio::test]
    async fn what_was_removed_is_remembered() {
        let (_folder, store) = fresh().await;
        let (new, paired, removed) = (device(1), device(2), device(3));
        for device in [&paired, &removed] {
            store.commit(&[put(device)], &act("test")).await.unwrap();
        }
        store.commit(&[Change::DropDevice(removed.id())], &act("test")).await.unwrap();
        let ids = [new.id(), paired.id(), removed.id()];
        let expected = [Footing::New, Footing::Paired, Footing::Removed];
        assert_eq!(store.footings(&ids).await.unwrap(), expected);
        // So many that the first are forgotten: then nobody can say.
        let flood = (0..=TAKEN_BACK_MAX).map(|number| {
            let bytes = crate::base::secret::Fingerprint::of(&number.to_be_bytes()).to_hex();
            Change::DropDevice(bytes.parse().unwrap())
        });
        store.commit(&flood.collect::<Vec<_>>(), &act("test")).await.unwrap();
        let expected = [Footing::Unsure, Footing::Paired, Footing::Unsure];
        assert_eq!(store.footings(&ids).await.unwrap(), expected);
    }

    #[tokio::test]
    async fn what_was_forgotten_is_never_nothing() {
        let (folder, store) = fresh().await;
        let (new, removed, later) = (device(1), device(2), device(3));
        let kept = folder.path().join("doorward.revoked");
        assert_eq!(store.past(&new.id()).await.unwrap(), Past::Blank);
        for device in [&removed, &later] {
            store.commit(&[put(device)], &act("test")).await.unwrap();
        }
        let before = fs::read(&kept).expect("made with the store");
        store.commit(&[Change::DropDevice(removed.id())], &act("test")).await.unwrap();
        assert!(
            store.past(&removed.id()).await.unwrap() == Past::Removed
                && store.past(&new.id()).await.unwrap() == Past::Blank
        );
        let after = fs::read(&kept).unwrap();
        let put_back = |bytes: &[u8]| {
            fs::write(&kept, bytes).unwrap();
            fs::set_permissions(&kept, fs::Permissions::from_mode(0o600)).unwrap();
        };
        let faults = async || Store::faults_of(&file(&folder)).await;
        assert!(faults().await.is_empty());
        // Gone, and as it was before.
        for lost in [None, Some(&before)] {
            match lost {
                Some(bytes) => put_back(bytes),
                None => fs::remove_file(&kept).unwrap(),
            }
            assert_eq!(store.footings(&[new.id(), removed.id()]).await.unwrap(), [Footing::Unsure; 2]);
            assert!(
                store.past(&removed.id()).await.unwrap() == Past::Removed
                    && store.past(&new.id()).await.unwrap() == Past::Removed
            );
            let [fault @ StoreError::Forgotten { .. }] = &faults().await[..] else { panic!("nothing is told") };
            assert!(fault.hint().contains("doorward.revoked"), "{}", fault.hint());
        }
        put_back(&after);
        assert!(store.past(&new.id()).await.unwrap() == Past::Blank && faults().await.is_empty());
        // A start makes none in the place of one that is missing, and what is taken back next does not hide it.
        fs::remove_file(&kept).unwrap();
        close(store).await;
        let store = Store::open(&file(&folder)).await.unwrap();
        assert!(!kept.exists() && store.past(&removed.id()).await.unwrap() == Past::Removed);
        store.commit(&[Change::DropDevice(later.id())], &act("test")).await.unwrap();
        assert!(kept.exists() && store.past(&removed.id()).await.unwrap() == Past::Removed);
        assert_eq!(faults().await.len(), 1);
    }
}
