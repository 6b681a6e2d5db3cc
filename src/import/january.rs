//! The JSON files of 2026.1: `devices/paired.json` and `devices/pending.json`, each an object by id.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::base::limits::IMPORT_DEVICES_MAX;
use crate::base::limits::LABEL_CHARS_MAX;
use crate::base::printable::printable;
use crate::import::Devices;
use crate::import::ImportError;
use crate::import::Release;
use crate::import::Unfit;
use crate::import::device;
use crate::import::device::Row;
use crate::import::files;
use crate::import::files::Folder;
use crate::import::issuer::OldSecret;

const FOLDER: &str = "devices";

/// The devices of the files, if there are any.
pub(super) fn read(folder: &Folder, secret: &OldSecret) -> Result<Option<Devices>, ImportError> {
    let Some((path, file)) = folder.file(FOLDER, "paired.json")? else { return Ok(None) };
    let rows = objects(&path, &files::text(&path, file)?)?;
    let mut devices = Devices { release: Release::January, arrivals: Vec::new(), unfit: Vec::new(), waiting: 0 };
    for (name, row) in rows {
        // Why exactly is not told: it would repeat what stands there, and that may be a token.
        let read = Row::deserialize(row).map_err(|_| Unfit {
            id: printable(&name, LABEL_CHARS_MAX),
            reason: "not as the gateway writes it".to_owned(),
        });
        match read.and_then(|row| device::judge(&name, &row, Release::January, secret)) {
            Ok(arrival) => devices.arrivals.push(arrival),
            Err(unfit) => devices.unfit.push(unfit),
        }
    }
    if let Some((path, file)) = folder.file(FOLDER, "pending.json")? {
        devices.waiting = objects(&path, &files::text(&path, file)?)?.len();
    }
    Ok(Some(devices))
}

fn objects(path: &Path, text: &str) -> Result<BTreeMap<String, Value>, ImportError> {
    let garbage = |cause: serde_json::Error| ImportError::Garbage { path: path.to_path_buf(), cause: place(&cause) };
    let objects: BTreeMap<String, Value> = serde_json::from_str(text).map_err(garbage)?;
    if objects.len() > IMPORT_DEVICES_MAX { Err(ImportError::TooMany(path.to_path_buf())) } else { Ok(objects) }
}

/// Where it is wrong; what stands there may be a token.
fn place(cause: &serde_json::Error) -> String {
    let kind = if cause.is_data() { "not an object of objects" } else { "not json" };
    format!("{kind}, line {} column {}", cause.line(), cause.column())
}
