//! What arrives at the core, kept as bytes: for the tests of those who hand requests to it.

use std::sync::{Arc, Mutex};

use http::request::Parts;

/// Every request that arrived, before anything was judged.
#[derive(Clone, Debug, Default)]
pub(crate) struct Arrivals(Arc<Mutex<Vec<Vec<u8>>>>);

impl Arrivals {
    /// Writes a request down as HTTP/1.1 would carry it.
    pub(super) fn note(&self, head: &Parts, body: &[u8]) {
        let mut bytes = format!("{} {} HTTP/1.1\r\n", head.method, head.uri).into_bytes();
        for (name, value) in &head.headers {
            bytes.extend_from_slice(&[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(body);
        self.0.lock().unwrap().push(bytes);
    }

    /// What has arrived since this was last asked.
    pub(crate) fn take(&self) -> Vec<Vec<u8>> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}
