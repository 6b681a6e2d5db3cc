//! Why a WebSocket was refused or ended.

use super::Why;

/// Sorted by reason.
pub(super) const CONNECT: &[Why] = &[
    Why {
        reason: "auth_changed",
        what: "The owner replaced the gateway token, so every connection that came in with the old one was closed.",
        caller: "Sign in again with the new token.",
        owner: "doorward token show prints the new token; devices stay paired, and each signs in with it once.",
    },
    Why {
        reason: "bootstrap_token_invalid",
        what: "The invitation is wrong, used up or too old.",
        caller: "Ask the owner for a new one, or for the gateway token.",
        owner: "Give the device the gateway token: doorward token show.",
    },
    Why {
        reason: "connect_expected",
        what: "The first message was not the one that opens a session.",
        caller: "Update the app.",
        owner: "This program does not speak the gateway protocol as it is spoken here: update it.",
    },
    Why {
        reason: "connect_invalid",
        what: "The message that opens a session has a form that is not known here.",
        caller: "Update the app.",
        owner: "This program speaks the gateway protocol otherwise: update it or doorward.",
    },
    Why {
        reason: "connect_late",
        what: "The app opened a connection and then said nothing for too long.",
        caller: "Try again.",
        owner: "Nothing need be changed; an app that does this each time is broken.",
    },
    Why {
        reason: "device-id-mismatch",
        what: "The device named itself otherwise than by its key.",
        caller: "Remove the app's data, or install it again, and connect once more.",
        owner: "The device must make a new key; then approve it.",
    },
    Why {
        reason: "device-nonce-mismatch",
        what: "The device signed an old challenge.",
        caller: "Try again.",
        owner: "If it stays so, update the app: it may be replaying what it signed before.",
    },
    Why {
        reason: "device-nonce-missing",
        what: "The device did not sign the challenge of this connection.",
        caller: "Update the app.",
        owner: "The app is older than the protocol that is spoken here.",
    },
    Why {
        reason: "device-public-key",
        what: "The device's key is none that can prove anything.",
        caller: "Remove the app's data, or install it again, and connect once more.",
        owner: "The device must make a new key; then approve it.",
    },
    Why {
        reason: "device-signature",
        what: "The device's signature is wrong.",
        caller: "Try again; if it stays so, install the app again.",
        owner: "Something changed what the device sent, or it lost its key: let it make a new one and approve that.",
    },
    Why {
        reason: "device-signature-stale",
        what: "The device signed at another time than it is here.",
        caller: "Set the device's clock right, then try again.",
        owner: "Compare the device's clock with this machine's: they differ by more than two minutes.",
    },
    Why {
        reason: "device_removed",
        what: "The owner removed this device.",
        caller: "Ask the owner to approve it again.",
        owner: "Connect it again and approve it if it should come back.",
    },
    Why {
        reason: "device_required",
        what: "This place takes only devices that prove who they are, and this one sent no proof.",
        caller: "Open the page over https, or on localhost: elsewhere a browser makes no device key.",
        owner: "Only on this machine a command line may come without a device: openclaw system presence sends one. \
                A browser makes its key over https or on localhost only.",
    },
    Why {
        reason: "device_token_mismatch",
        what: "The device's own token is not valid any more.",
        caller: "Sign in with the gateway token once; the owner has it.",
        owner: "It was replaced or revoked: connect the device with the gateway token once.",
    },
    Why {
        reason: "frame_invalid",
        what: "A message came that is none of the gateway protocol.",
        caller: "Update the app.",
        owner: "This program does not speak the gateway protocol.",
    },
    Why {
        reason: "frame_unreadable",
        what: "A message came that cannot be read.",
        caller: "Update the app.",
        owner: "This program does not speak the gateway protocol.",
    },
    Why {
        reason: "frames_queued",
        what: "Too many messages came before the session was open.",
        caller: "Update the app.",
        owner: "An app that does this is broken, or somebody tries how much is taken.",
    },
    Why {
        reason: "internal",
        what: "Something failed on this server; nothing was decided about you.",
        caller: "Try again in a minute, then tell the owner.",
        owner: "Look at the log of that time: it names the fault and what to do.",
    },
    Why {
        reason: "invite_invalid",
        what: "The invite is wrong, used up or too old; each lets one device in, and only for a few minutes.",
        caller: "Ask the owner for a new one.",
        owner: "Make a new one: doorward invite. The log of doorward audit tells which device had the last one.",
    },
    Why {
        reason: "message_too_large",
        what: "A message was larger than this server said it would take.",
        caller: "Send less at once.",
        owner: "Nothing need be changed.",
    },
    Why {
        reason: "not_websocket",
        what: "Bytes came that are no WebSocket.",
        caller: "Update the app.",
        owner: "A program or proxy in front breaks the stream.",
    },
    Why {
        reason: "pairing_refused",
        what: "The owner's rules pair no device like this one, from where it calls.",
        caller: "Ask the owner.",
        owner: "The rule is named here. To let the device ask, change that rule, or put one that asks before it, and run \
                doorward reload.",
    },
    Why {
        reason: "pairing_required",
        what: "This device is new here, or asks for more than it was approved for. It waits for the owner.",
        caller: "Ask the owner to approve this device, then connect again. The request does not wait for ever; connecting again renews it.",
        owner: "doorward devices list shows what waits and the command that approves it. Approve only what you recognise.",
    },
    Why {
        reason: "payload_too_large",
        what: "The first message was larger than is taken from somebody unknown.",
        caller: "Update the app.",
        owner: "An app that does this is broken, or somebody tries how much is taken.",
    },
    Why {
        reason: "pending_full",
        what: "Too many devices wait for the owner already, or the owner has rejected this one just now.",
        caller: "Tell the owner, then try again.",
        owner: "doorward devices list shows what waits; approve or reject it.",
    },
    Why {
        reason: "pong_late",
        what: "The device did not answer for too long.",
        caller: "Connect again.",
        owner: "Nothing need be changed.",
    },
    Why {
        reason: "protocol_mismatch",
        what: "The app speaks a version of the protocol that is not spoken here.",
        caller: "Update the app.",
        owner: "Versions 3 and 4 of the gateway protocol are spoken here: update the client.",
    },
    Why {
        reason: "rate_limited",
        what: "Too many wrong secrets came from your network, so none is looked at for a while.",
        caller: "Wait five minutes, then use the right one.",
        owner: "If it was you: wait five minutes, then use the right one. If not, somebody is guessing and is held off.",
    },
    Why {
        reason: "restart",
        what: "This server is about to stop or to start anew.",
        caller: "Try again in a minute.",
        owner: "Nothing need be changed.",
    },
    Why {
        reason: "role_invalid",
        what: "The app asked for a role that does not exist here.",
        caller: "Update the app.",
        owner: "This program speaks the gateway protocol otherwise: update it or doorward.",
    },
    Why {
        reason: "slow_consumer",
        what: "The device took its messages too slowly.",
        caller: "Connect again over a better connection.",
        owner: "Nothing need be changed.",
    },
    Why {
        reason: "token_mismatch",
        what: "The gateway token is wrong.",
        caller: "Ask the owner for the token and sign in again.",
        owner: "doorward token show prints the right one; doorward dashboard opens a page that has it already.",
    },
    Why {
        reason: "token_missing",
        what: "No gateway token was sent.",
        caller: "Sign in with the token that the owner has.",
        owner: "doorward token show prints it; doorward dashboard opens a page that has it already.",
    },
    Why {
        reason: "unauthorized_calls",
        what: "The app kept asking for what it may not do.",
        caller: "Ask the owner which rights this device has.",
        owner: "doorward devices list shows what the device may do.",
    },
];
