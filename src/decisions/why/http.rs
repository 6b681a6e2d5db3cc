//! Why a request was refused.

use super::Why;

/// Sorted by reason.
pub(super) const HTTP: &[Why] = &[
    Why {
        reason: "assertion-invalid",
        what: "The part of this server that decides did not get its own proof of where this request came from.",
        caller: "Try again in a minute; if it stays so, tell the owner.",
        owner: "Look at the log: two doorward instances that share an address, or a clock that jumped, cause this.",
    },
    Why {
        reason: "bad-host",
        what: "The request named no server, or more than one, or one that cannot be read.",
        caller: "Open the address as the owner gave it to you.",
        owner: "A program or proxy in front sends a broken Host header: fix it there.",
    },
    Why {
        reason: "bad-target",
        what: "The request did not ask for a path.",
        caller: "Open the address as the owner gave it to you.",
        owner: "A program or proxy in front sends something that is no request for a page.",
    },
    Why {
        reason: "bad-websocket-handshake",
        what: "A WebSocket was asked for in a way that is not the standard's.",
        caller: "Update the app.",
        owner: "If there is a proxy in front, let it pass Connection, Upgrade and the Sec-WebSocket headers on (HTTP/1.1 towards doorward).",
    },
    Why {
        reason: "body-too-large",
        what: "The request's body is larger than is read here.",
        caller: "Send less at once.",
        owner: "Nothing of doorward itself takes bodies over 64 KiB, and nothing over 1 GiB goes to the gateway behind it.",
    },
    Why {
        reason: "body-too-slow",
        what: "The request's body did not arrive in time.",
        caller: "Try again over a better connection.",
        owner: "Nothing need be changed.",
    },
    Why {
        reason: "draining",
        what: "This server is about to stop or to start anew.",
        caller: "Try again in a minute.",
        owner: "Nothing need be changed.",
    },
    Why {
        reason: "foreign-web-origin",
        what: "A page of another site tried to use this server.",
        caller: "Open the page from this server's own address.",
        owner: "If that other page is yours, add its origin to edge.origins.",
    },
    Why {
        reason: "head-too-large",
        what: "The request's headers are larger than is read here.",
        caller: "Delete this site's cookies and try again.",
        owner: "A proxy or page in front makes headers of more than 64 KiB.",
    },
    Why {
        reason: "head-too-slow",
        what: "The request's headers did not arrive in time.",
        caller: "Try again over a better connection.",
        owner: "Nothing need be changed.",
    },
    Why {
        reason: "identity-keys-unavailable",
        what: "The proxy in front said who you are, and this server cannot check it now.",
        caller: "Try again in a minute; if it stays so, tell the owner.",
        owner: "The keys of that [[identity]] could not be read, or do not have the one that signed: the log names the cause.",
    },
    Why {
        reason: "identity-token-ambiguous",
        what: "The proxy in front said more than once who you are.",
        caller: "Tell the owner: a proxy sends something wrong.",
        owner: "Let the proxy replace the token's header instead of adding to it, and put one product in front of a listener.",
    },
    Why {
        reason: "identity-token-expired",
        what: "What the proxy in front says about who you are is out of date.",
        caller: "Reload the page and sign in again.",
        owner: "If it comes back at once, compare the clocks of the two machines.",
    },
    Why {
        reason: "identity-token-invalid",
        what: "What the proxy in front says about who you are is not signed by the one, or not meant for the one, that counts here.",
        caller: "Sign in again; if it stays so, tell the owner.",
        owner: "Compare issuer, audience and login of that [[identity]] with the product's own settings; `doorward explain` names the cause.",
    },
    Why {
        reason: "internal-error",
        what: "Something failed on this server; nothing was decided about you.",
        caller: "Try again in a minute, then tell the owner.",
        owner: "Look at the log of that time: it names the fault and what to do.",
    },
    Why {
        reason: "malformed-body",
        what: "The request's body did not have the form that it announced.",
        caller: "Try again; if it stays so, update the app.",
        owner: "A program or proxy in front breaks the body.",
    },
    Why {
        reason: "malformed-request",
        what: "The request did not have the form that the standard asks for.",
        caller: "Try again; if it stays so, update the app.",
        owner: "A program or proxy in front makes requests that two readers could read differently.",
    },
    Why {
        reason: "method-not-allowed",
        what: "This page cannot be used in that way.",
        caller: "Open it in a browser.",
        owner: "Nothing need be changed.",
    },
    Why {
        reason: "misdirected-connection",
        what: "The browser used a connection for another name than it was opened for.",
        caller: "Reload the page, or close the browser and open it again.",
        owner: "Each name needs a connection of its own; a caller without SNI must ask for an address.",
    },
    Why {
        reason: "misdirected-host",
        what: "This server does not answer under that name.",
        caller: "Use the address that the owner gave you.",
        owner: "If people should reach it under that name or address, add it to edge.names.",
    },
    Why {
        reason: "not-found",
        what: "There is nothing at this place.",
        caller: "Begin at the first page, /.",
        owner: "Nothing need be changed.",
    },
    Why {
        reason: "not-signed",
        what: "This server could not prove to itself where the request came from.",
        caller: "Try again in a minute, then tell the owner.",
        owner: "Look at the log of that time: the signing key cannot be used.",
    },
    Why {
        reason: "not-through-the-proxy",
        what: "This door is only for the proxies in front of it; others would send secrets in clear.",
        caller: "Use the https address.",
        owner: "If the caller is your proxy, add its address to trusted_proxies of this listener.",
    },
    Why {
        reason: "port-not-closed",
        what: "This door is meant for the machine it runs on, and others may be able to come in by it; they would send secrets in clear.",
        caller: "Use the https address. If the server was just started, try again in a few seconds.",
        owner: "Publish the port on the host's own loopback only, -p 127.0.0.1:18789:18789; doorward status says what was found.",
    },
    Why {
        reason: "too-many-headers",
        what: "The request has more header lines than are read here.",
        caller: "Try again with fewer browser extensions.",
        owner: "A proxy or page in front makes more than 100 header lines.",
    },
    Why {
        reason: "too-many-sockets",
        what: "Too many connections from your network wait to sign in.",
        caller: "Close other windows of this page, wait ten seconds and try again.",
        owner: "If everybody behind one proxy is counted as one, set client_ip_header and trusted_proxies so that callers are told apart.",
    },
    Why {
        reason: "unknown-expectation",
        what: "The request expects something that is not offered here.",
        caller: "Update the app.",
        owner: "Nothing need be changed.",
    },
    Why {
        reason: "unknown-transfer-coding",
        what: "The request's body is encoded in a way that is not taken here.",
        caller: "Update the app.",
        owner: "A program or proxy in front encodes bodies otherwise than chunked.",
    },
    Why {
        reason: "websocket-version",
        what: "A WebSocket of another version was asked for.",
        caller: "Update the app.",
        owner: "Nothing need be changed.",
    },
];
