//! What arrives at the core, kept as bytes, for the tests of those who hand requests to it; and a session for its own tests.

use std::sync::{Arc, Mutex};

use http::request::Parts;

use super::registry::Arrival;
use crate::pairing::paired::Issuer;
use crate::protocol::event::Presence;
use crate::protocol::scope::Role;
use crate::protocol::scope::Scope;
use crate::protocol::scope::Scopes;
use crate::protocol::version::Version;

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

impl Arrival {
    /// An operator without a device that may read.
    pub(super) fn sample() -> Self {
        Self {
            connection: "c-1".to_owned(),
            device: None,
            version: Version::V4,
            role: Role::Operator,
            scopes: Scopes::from_iter([Scope::READ]),
            issuer: Issuer::Setup,
            served: crate::core::registry::Served::Here,
            origin: None,
            url: None,
            presence: Presence {
                text: "sample".to_owned(),
                ts: 7,
                ip: None,
                version: None,
                platform: None,
                device_family: None,
                host: None,
                mode: None,
                reason: "connect",
                device_id: None,
                instance_id: None,
                roles: vec![Role::Operator],
                scopes: Scopes::from_iter([Scope::READ]),
            },
        }
    }
}
