//! Why a connection came to no request. Nobody was given a code: these are for the owner.

use super::Why;

/// Sorted by reason.
pub(super) const GREETING: &[Why] = &[
    Why {
        reason: "bad-proxy-header",
        what: "The connection did not open with the PROXY header that this listener requires.",
        caller: "Use the address that the owner gave you.",
        owner: "Let the proxy in front send a PROXY header (nginx: proxy_protocol on; HAProxy: send-proxy-v2), or set proxy_protocol = off for this listener; a health check there must send one too.",
    },
    Why {
        reason: "bad-server-name",
        what: "The caller asked by TLS for a name that is no host name.",
        caller: "Open the address as the owner gave it to you.",
        owner: "A program sends something else than a host name as SNI: fix it there.",
    },
    Why {
        reason: "client-certificate-refused",
        what: "The certificate that callers of this listener show was absent, or is not one of those that are taken.",
        caller: "Choose the certificate that the owner gave you, or ask for a new one if its time is over.",
        owner: "Callers show one that a CA in client_ca of this listener signed, that holds now, and that client_crl does not take back; a list out of date refuses everybody.",
    },
    Why {
        reason: "greeting-too-slow",
        what: "The PROXY header or the TLS handshake was not whole in time.",
        caller: "Try again over a better connection.",
        owner: "A health check that opens a connection and says nothing ends so too: let it ask for /healthz.",
    },
    Why {
        reason: "not-tls",
        what: "What came on this TLS port is neither TLS nor HTTP.",
        caller: "Use the https address.",
        owner: "If the first bytes are a PROXY header, set proxy_protocol = required and proxy_protocol_from for this listener.",
    },
    Why {
        reason: "plain-http-on-tls",
        what: "Plain HTTP came on a TLS port.",
        caller: "Use https, not http, in the address.",
        owner: "Let people use the https address, and a proxy in front speak TLS to this port (nginx: proxy_pass https).",
    },
    Why {
        reason: "proxy-sender-unlisted",
        what: "Only the senders of PROXY headers that are listed may connect here, and this peer is none.",
        caller: "Use the address that the owner gave you.",
        owner: "If the peer is your proxy, add its address to proxy_protocol_from of this listener.",
    },
    Why {
        reason: "tls-failed",
        what: "The TLS handshake failed.",
        caller: "Trust the certificate of this server as its owner shows you, or update the browser or app.",
        owner: "UnknownCA, CertificateUnknown or BadCertificate in the cause: the caller does not trust this certificate; install the local CA there, or use a certificate of a public one. No version or cipher suite in common: the caller is too old, TLS 1.2 is the least.",
    },
    Why {
        reason: "tls-not-set-up",
        what: "TLS came to a listener that has no certificates.",
        caller: "Tell the owner.",
        owner: "Set protocol = https or auto for this listener.",
    },
    Why {
        reason: "too-many-connections",
        what: "This caller holds as many connections as one may.",
        caller: "Close other windows of this page and try again.",
        owner: "If everybody behind one proxy is counted as one, set trusted_proxies, or proxy_protocol, so that callers are told apart.",
    },
    Why {
        reason: "unknown-server-name",
        what: "TLS asked for a name that is not served here.",
        caller: "Use the address that the owner gave you.",
        owner: "If the name in the cause is yours, add it to edge.names.",
    },
];
