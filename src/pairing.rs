//! Who may enter: device proofs, pending requests, approvals, decided by a pure step.
