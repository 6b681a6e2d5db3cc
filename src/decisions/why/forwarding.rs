//! Why a request did not come to the gateway behind us, or no answer came from there.

use super::Why;

/// Sorted by reason.
pub(super) const FORWARDING: &[Why] = &[
    Why {
        reason: "admin-rpc-closed",
        what: "The request calls the gateway's own methods over HTTP, by which devices would be paired and removed past this server.",
        caller: "Connect over WebSocket and call them there.",
        owner: "Nothing: this path stays closed, for you too. doorward devices lists, approves and removes devices.",
    },
    Why {
        reason: "credential-locked",
        what: "Too many wrong tokens came from your address: none is looked at for a while.",
        caller: "Wait five minutes, then use the right token. A paired device's token is taken all the same.",
        owner: "A program with an old token may try again and again: find it by its address in the log, and give it the new one.",
    },
    Why {
        reason: "credential-required",
        what: "This part of the gateway is for known callers, and the request did not say who sends it.",
        caller: "Sign in on the page, or send the token of a paired device: Authorization: Bearer.",
        owner: "A program that has a secret of its own, such as a hook's, needs its path and methods in [[core.upstream.open]].",
    },
    Why {
        reason: "credential-wrong",
        what: "The token in the request is neither the gateway's nor a paired device's.",
        caller: "Sign in again, or ask the owner for the right token.",
        owner: "Tokens end when a device is revoked or removed and when the gateway's token is rotated: doorward devices list.",
    },
    Why {
        reason: "device-required",
        what: "The gateway's token came alone, from another machine: whoever finds it must not command the agents by it.",
        caller: "Send the token of a paired device instead: connect once over WebSocket, have the owner approve it, and use its token.",
        owner: "If an outside program cannot be a device, open exactly its path and methods in [[core.upstream.open]]; the gateway's \
                own check remains.",
    },
    Why {
        reason: "operator-required",
        what: "The token in the request belongs to a node, which serves the gateway and does not command it.",
        caller: "Use the token of an operator.",
        owner: "Pair the program as an operator if it should command.",
    },
    Why {
        reason: "scope-required",
        what: "The device is known, and was not granted as much. Over HTTP the gateway takes every request for its owner's, so \
               only a device that may do everything does anything but read.",
        caller: "Ask the owner to approve more for this device.",
        owner: "Grant operator.read for reading, operator.admin for the rest, or let the program use the WebSocket, where its own \
                scopes hold.",
    },
    Why {
        reason: "too-many-requests",
        what: "Too many requests from your network are being answered by the gateway.",
        caller: "Wait until others of yours are answered.",
        owner: "If everybody behind one proxy is counted as one, set client_ip_header and trusted_proxies so that callers are told \
                apart.",
    },
    Why {
        reason: "upstream-broken",
        what: "The gateway behind this server broke its answer off, or sent something that is none.",
        caller: "Try again in a minute, then tell the owner.",
        owner: "Look at the gateway's log of that time. If something else listens at core.upstream.url, correct it.",
    },
    Why {
        reason: "upstream-locked-out",
        what: "The gateway behind this server takes no token from it for some minutes, for too many wrong ones came.",
        caller: "Try again in five minutes, then tell the owner.",
        owner: "See that core.upstream.token_file has the gateway's token: doorward status says when it is taken again.",
    },
    Why {
        reason: "upstream-refused-tls",
        what: "The gateway behind this server could not prove that it is the right one.",
        caller: "Tell the owner.",
        owner: "Its certificate must be for the host in core.upstream.url, and from a CA that this machine trusts.",
    },
    Why {
        reason: "upstream-silent",
        what: "The gateway behind this server does not answer.",
        caller: "Try again in a minute, then tell the owner.",
        owner: "It took the connection and says nothing: look whether it hangs, and start it anew.",
    },
    Why {
        reason: "upstream-token-wrong",
        what: "The gateway behind this server has another token than this server knows.",
        caller: "Tell the owner.",
        owner: "Write the gateway's token (gateway.auth.token there) into the file of core.upstream.token_file.",
    },
    Why {
        reason: "upstream-unreachable",
        what: "The gateway behind this server cannot be reached.",
        caller: "Try again in a minute, then tell the owner.",
        owner: "Start it, or correct core.upstream.url: doorward status and doorward check --upstream say what is wrong.",
    },
];
