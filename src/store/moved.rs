//! What is known here of devices that another gateway had paired.

use std::sync::Arc;

use crate::pairing::device::DeviceId;
use crate::pairing::moved::Standing;
use crate::store::Store;
use crate::store::devices;
use crate::store::error::StoreError;
use crate::store::revoked::Revoked;

impl Store {
    /// What is known of each of these devices. What was removed is remembered beside the store.
    ///
    /// # Errors
    /// As [`Store::known`].
    pub async fn standings(&self, ids: &[DeviceId]) -> Result<Vec<Standing>, StoreError> {
        let mut connection = self.connection.lock().await;
        let path = Arc::clone(&self.path);
        let read = tokio::task::spawn_blocking(move || Revoked::read(&path)).await;
        let revoked = read.unwrap_or_else(|_| Err(StoreError::Query(sqlx::Error::WorkerCrashed)))?;
        let mut standings = Vec::with_capacity(ids.len());
        for id in ids {
            let paired = devices::load(&mut connection, id).await.map_err(|fault| fault.at(&self.path))?;
            standings.push(match paired {
                Some(_) => Standing::Paired,
                None => revoked.standing(id),
            });
        }
        Ok(standings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::limits::TAKEN_BACK_MAX;
    use crate::pairing::step::Change;
    use crate::store::testing::{act, device, fresh, put};

    #[tokio::test]
    async fn what_was_removed_is_remembered() {
        let (_folder, store) = fresh().await;
        let (new, paired, removed) = (device(1), device(2), device(3));
        for device in [&paired, &removed] {
            store.commit(&[put(device)], &act("test")).await.unwrap();
        }
        store.commit(&[Change::DropDevice(removed.id())], &act("test")).await.unwrap();
        let ids = [new.id(), paired.id(), removed.id()];
        let expected = [Standing::New, Standing::Paired, Standing::Removed];
        assert_eq!(store.standings(&ids).await.unwrap(), expected);
        // So many that the first are forgotten: then nobody can say.
        let flood = (0..=TAKEN_BACK_MAX).map(|number| {
            let bytes = crate::base::secret::Fingerprint::of(&number.to_be_bytes()).to_hex();
            Change::DropDevice(bytes.parse().unwrap())
        });
        store.commit(&flood.collect::<Vec<_>>(), &act("test")).await.unwrap();
        let expected = [Standing::Unsure, Standing::Paired, Standing::Unsure];
        assert_eq!(store.standings(&ids).await.unwrap(), expected);
    }
}
