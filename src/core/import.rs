//! The import of devices that another gateway had paired, all of them or none, at the desk like every other decision.

use tracing::info;

use crate::core::CoreError;
use crate::core::Pairings;
use crate::pairing::device::DeviceId;
use crate::pairing::import::Fate;
use crate::pairing::import::Import;
use crate::pairing::import::Mode;
use crate::pairing::paired::Generation;
use crate::pairing::paired::Issuer;
use crate::pairing::step::Notice;
use crate::store::Act;

impl Pairings {
    /// What becomes of the devices of `import`, and makes it so unless it is only asked.
    ///
    /// # Errors
    /// [`CoreError`]; then nothing was changed.
    pub async fn import(&self, import: Import) -> Result<Vec<(DeviceId, Fate)>, CoreError> {
        let visit = self.core.visit(async move |core| {
            let _desk = core.desk().await;
            let footings = core.store.footings(&import.ids()).await?;
            let (now, generation) = (core.clock.now(), Generation::of(&core.secret.load()));
            let (fates, changes) = import.decide(&footings, Issuer::Gateway(generation), now);
            if import.mode == Mode::Planned {
                return Ok(fates);
            }
            core.commit(&changes, &Act::owner("devices.import", now)).await?;
            for (device, _) in fates.iter().filter(|(_, fate)| *fate == Fate::Moves) {
                info!(%device, "device imported");
                core.carry_out(&Notice::Changed(*device));
            }
            Ok(fates)
        });
        visit.await.unwrap_or(Err(CoreError::Stopped))
    }
}
