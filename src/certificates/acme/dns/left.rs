//! What orders have written in the DNS and not removed yet, on disk: noted before it is written, and forgotten when it is
//! removed. So a crash leaves nothing behind that the next start does not find.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tracing::{debug, error, info, warn};

use crate::base::clock::{Clock, UnixMillis, millis};
use crate::base::limits::{ACME_RETRY_WAITS, DNS_LEFT_AGE_MAX, DNS_LEFT_MAX};
use crate::base::private_file::{self, Fault, PrivateFileError};
use crate::base::secret::Secret;
use crate::certificates::acme::dns::Way;
use crate::certificates::acme::dns::fault::DnsError;
use crate::certificates::acme::dns::hook::{self, Told};
use crate::certificates::acme::dns::update::{Change, named};
use crate::certificates::acme::kept::{Id, Kept};

/// What such a note's file ends with.
const ENDING: &str = "dns";

/// One value, and how it got there.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Left {
    /// The name that a certificate was for.
    pub host: String,
    /// Where it stands.
    pub place: String,
    /// The value.
    pub text: String,
    /// How it is written and removed.
    pub way: Way,
    /// When it was noted.
    pub noted_ms: i64,
}

impl Left {
    /// Notes it for the order of `id`, and writes it in the DNS.
    ///
    /// # Errors
    /// [`DnsError`]; what was noted is removed all the same.
    pub async fn write(&self, kept: &Kept, id: &Id, clock: &Clock) -> Result<(), DnsError> {
        private_file::ensure_folder(kept.folder())?;
        let digest: String = Sha256::digest(format!("{} {}", self.place, self.text))
            .iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let path = kept.folder().join(format!("{id}.{digest}.{ENDING}"));
        // Never an error: these are plain fields.
        let text = serde_json::to_string(self)
            .map_err(|_| PrivateFileError::new(&path, Fault::Garbage("what can be written")))?;
        private_file::replace(&path, &Secret::new(text))?;
        self.change(Change::Add, clock).await
    }

    async fn change(&self, change: Change, clock: &Clock) -> Result<(), DnsError> {
        match &self.way {
            Way::Update(update) => update.change(change, &named(&self.place)?, &self.text, clock).await,
            Way::Exec(words) => {
                let told = Told { change, host: &self.host, place: &self.place, text: &self.text };
                hook::run(words, told).await
            }
        }
    }
}

/// Removes from the DNS what the order of `id` has written. What cannot be removed now is left to [`Broom::sweep`].
pub async fn withdraw(id: &Id, kept: &Kept, clock: &Clock) {
    let prefix = format!("{id}.");
    for path in notes(kept) {
        if path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(&prefix)) {
            remove(&path, clock).await;
        }
    }
}

/// Removes what orders have left.
#[derive(Debug, Default)]
pub struct Broom {
    /// How often each note was tried, and before when it is not tried again.
    tried: HashMap<PathBuf, (usize, UnixMillis)>,
}

impl Broom {
    /// Removes what is left in the DNS, at first at once and then at growing distances. Only while no order is under way:
    /// it would take its values from under it.
    pub async fn sweep(&mut self, kept: &Kept, clock: &Clock) {
        let notes = notes(kept);
        self.tried.retain(|path, _| notes.contains(path));
        for path in notes {
            let (tries, next) = self.tried.get(&path).copied().unwrap_or((0, UnixMillis(i64::MIN)));
            if clock.now() < next {
                continue;
            }
            if remove(&path, clock).await {
                info!("a value that an order had left in the dns is removed");
            } else {
                let [.., longest] = ACME_RETRY_WAITS;
                let wait = ACME_RETRY_WAITS.get(tries).copied().unwrap_or(longest);
                let next = clock.now().plus(millis(wait));
                self.tried.insert(path, (tries.saturating_add(1), next));
            }
        }
    }
}

/// Removes one value and then its note; says whether the note is gone.
async fn remove(path: &Path, clock: &Clock) -> bool {
    let Some(left) = read(path) else { return false };
    match left.change(Change::Remove, clock).await {
        Ok(()) => debug!(place = left.place, "value removed from the dns"),
        Err(error) => {
            let (place, value, hint) = (&left.place, &left.text, error.hint());
            let age = clock.now().since(UnixMillis(left.noted_ms));
            if age < millis(DNS_LEFT_AGE_MAX) {
                warn!(place, value, %error, hint, "a value that an order has written is still in the dns");
                return false;
            }
            error!(place, value, %error, "a value of an order is still in the dns and is not tried again: remove it by hand");
        }
    }
    match private_file::remove(path) {
        Ok(()) => true,
        Err(error) => {
            warn!(%error, hint = %error.hint(), "a note of a value that is no more in the dns stays");
            false
        }
    }
}

fn read(path: &Path) -> Option<Left> {
    match private_file::read(path) {
        Ok(text) => match serde_json::from_str(text.expose()) {
            Ok(left) => return Some(left),
            Err(_) => warn!(file = %path.display(), "it does not say what an order has written in the dns: remove it"),
        },
        Err(error) => warn!(%error, hint = %error.hint(), "what an order has written in the dns is not known"),
    }
    None
}

/// All that is noted; a folder that cannot be read is told, for values may stand in the DNS meanwhile.
fn notes(kept: &Kept) -> Vec<PathBuf> {
    find(kept.folder()).unwrap_or_else(|error| {
        let file = kept.folder().display();
        warn!(%file, %error, "what orders have left in the dns is not known: see that doorward can read it");
        Vec::new()
    })
}

fn find(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let paths = entries.flatten().map(|entry| entry.path());
    let notes = paths.filter(|path| path.extension().is_some_and(|extension| extension == ENDING));
    Ok(notes.take(DNS_LEFT_MAX).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_cannot_be_read_is_not_taken_for_an_empty_one() {
        let folder = tempfile::tempdir().unwrap();
        assert!(find(&folder.path().join("absent")).unwrap().is_empty());
        let path = folder.path().join("a.dns");
        fs::write(&path, "").unwrap();
        fs::write(folder.path().join("a.pem"), "").unwrap();
        assert_eq!(find(folder.path()).unwrap(), std::slice::from_ref(&path));
        find(&path).unwrap_err();
        assert!(notes(&Kept::of(folder.path())).is_empty());
    }
}
