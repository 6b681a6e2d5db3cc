//! Random bytes in every place where a stranger's bytes are read.

use http::HeaderValue;
use proptest::prelude::*;

use super::desk::{Desk, forge, message, payload, signed};
use crate::identity::headers;
use crate::identity::jose;
use crate::identity::testing::parts;
use crate::identity::verifier::Leeway;

proptest! {
    #[test]
    fn random_bytes_never_verify(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let desk = Desk::new(Leeway::SameHost);
        if let Ok(value) = HeaderValue::from_bytes(&bytes) {
            let mut request = parts("GET", "/", &[("host", "a")]);
            request.headers.insert(headers::ASSERTION, value);
            prop_assert!(desk.verifier.verify_request(&request).is_err());
        }
    }

    #[test]
    fn random_segments_never_verify(header in "[ -~]{0,80}", payload in "[ -~]{0,200}", signature in any::<[u8; 32]>()) {
        let desk = Desk::new(Leeway::SameHost);
        for header in [header, desk.header()] {
            let signature = jose::encode([signature, signature].concat());
            let token = format!("{}.{signature}", message(&header, &payload));
            prop_assert!(desk.get(&token).is_err());
        }
    }

    #[test]
    fn random_payloads_under_a_good_signature_never_panic(payload in "[ -~]{0,200}", at in 0..300_usize, byte in any::<u8>()) {
        let desk = Desk::new(Leeway::SameHost);
        prop_assert!(desk.get(&forge(&desk.header(), &payload)).is_err());
        let mut bytes = good().into_bytes();
        let at = at % bytes.len();
        bytes[at] = byte;
        let message = format!("{}.{}", jose::encode(desk.header()), jose::encode(bytes));
        // Good or bad, it is our own key's word; what matters is that nothing breaks.
        let _ = desk.get(&signed(&message));
    }
}

fn good() -> String {
    payload()
}
