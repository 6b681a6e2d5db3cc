//! Devices that another gateway had paired move in, all of them or none, at the desk like every other decision.

use tracing::info;

use crate::core::CoreError;
use crate::core::Pairings;
use crate::pairing::device::DeviceId;
use crate::pairing::moved;
use crate::pairing::moved::Fate;
use crate::pairing::moved::MovedDevice;
use crate::pairing::moved::Moving;
use crate::pairing::paired::Generation;
use crate::pairing::paired::Issuer;
use crate::pairing::step::Notice;
use crate::store::Act;

impl Pairings {
    /// What becomes of `devices`, and makes it so unless it is only asked; `again` are those that the owner named although
    /// they may have been removed here.
    ///
    /// # Errors
    /// [`CoreError`]; then nothing was changed.
    pub async fn import(
        &self,
        devices: Vec<MovedDevice>,
        again: Vec<DeviceId>,
        moving: Moving,
    ) -> Result<Vec<(DeviceId, Fate)>, CoreError> {
        let visit = self.core.visit(async move |core| {
            let _desk = core.desk().await;
            let ids: Vec<_> = devices.iter().map(MovedDevice::id).collect();
            let standings = core.store.standings(&ids).await?;
            let devices: Vec<_> = devices.into_iter().zip(standings).collect();
            let (now, generation) = (core.clock.now(), Generation::of(&core.secret.load()));
            let (fates, changes) = moved::decide(&devices, &again, Issuer::Gateway(generation), now);
            if moving == Moving::Planned {
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
