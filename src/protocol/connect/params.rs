//! The schema of `connect`'s parameters.

use serde_json::Value;

use crate::base::limits::BUILD_ID_CHARS_MAX;
use crate::base::limits::CAPABILITIES_MAX;
use crate::base::limits::CREDENTIAL_CHARS_MAX;
use crate::base::limits::FRAME_BYTES_BEFORE_HELLO_MAX;
use crate::base::limits::LABEL_CHARS_MAX;
use crate::base::limits::PUBLIC_KEY_CHARS_MAX;
use crate::base::limits::SCOPE_CHARS_MAX;
use crate::base::limits::SCOPES_MAX;
use crate::base::limits::TIME_ZONE_CHARS_MAX;
use crate::base::secret::Secret;
use crate::protocol::connect::Auth;
use crate::protocol::connect::Client;
use crate::protocol::connect::ClientId;
use crate::protocol::connect::ClientMode;
use crate::protocol::connect::Connect;
use crate::protocol::connect::DeviceParams;
use crate::protocol::json;
use crate::protocol::refusal::Failure;
use crate::protocol::schema::Faults;
use crate::protocol::schema::Object;
use crate::protocol::scope::Role;
use crate::protocol::scope::Scope;
use crate::protocol::scope::ScopesAsSent;
use crate::protocol::version::Version;

const PARAMS: &[&str] = &[
    "auth",
    "caps",
    "client",
    "commands",
    "computerUse",
    "device",
    "locale",
    "maxProtocol",
    "minProtocol",
    "modelCatalog",
    "pathEnv",
    "permissions",
    "role",
    "scopes",
    "userAgent",
    "workerRuns",
];
const CLIENT: &[&str] = &[
    "buildId",
    "deviceFamily",
    "displayName",
    "id",
    "instanceId",
    "mode",
    "modelIdentifier",
    "platform",
    "timeZone",
    "version",
];
const DEVICE: &[&str] = &["id", "nonce", "publicKey", "signature", "signedAt"];
const AUTH: &[&str] =
    &["agentRuntimeIdentityToken", "approvalRuntimeToken", "bootstrapToken", "deviceToken", "password", "token"];

/// Reads the text of the parameters: schema, then version, then role, as the gateway does.
pub(super) fn read(text: &str) -> Result<Connect, (Version, Failure)> {
    let mut faults = Faults::default();
    let Ok(value) = json::parse(text) else {
        let doubled = Faults::one("", "must not have duplicate properties");
        return Err((Version::V4, Failure::ConnectInvalid(doubled)));
    };
    let Some(params) = Object::closed(&value, "", PARAMS, &mut faults) else {
        return Err((Version::V4, Failure::ConnectInvalid(faults)));
    };
    let minimum = params.required_integer("minProtocol", 1, &mut faults);
    let maximum = params.required_integer("maxProtocol", 1, &mut faults);
    let negotiated = Version::negotiate(minimum, maximum);
    let version = negotiated.unwrap_or(Version::nearest(maximum));

    let client = client(&params, &mut faults);
    let role = params.label("role", LABEL_CHARS_MAX, &mut faults);
    let scopes = scopes(&params, &mut faults);
    let device = params.optional("device").and_then(|value| device(value, &params, version, &mut faults));
    let auth = params.optional("auth").map(|value| auth(value, &params, &mut faults)).unwrap_or_default();
    // From here on read for their shape only: no rule of ours depends on them.
    for list in ["caps", "commands"] {
        params.texts(list, CAPABILITIES_MAX, LABEL_CHARS_MAX, &mut faults);
    }
    permissions(&params, &mut faults);
    params.text("pathEnv", FRAME_BYTES_BEFORE_HELLO_MAX, &mut faults);
    params.text("locale", LABEL_CHARS_MAX, &mut faults);
    params.text("userAgent", FRAME_BYTES_BEFORE_HELLO_MAX, &mut faults);

    let Some(client) = client.filter(|_| faults.is_empty()) else {
        return Err((version, Failure::ConnectInvalid(faults)));
    };
    if negotiated.is_none() {
        return Err((version, Failure::ProtocolMismatch { minimum, maximum }));
    }
    let Some(role) = role.as_deref().map_or(Some(Role::Operator), Role::parse) else {
        return Err((version, Failure::RoleInvalid));
    };
    Ok(Connect { version, client, role, scopes, device, auth })
}

fn client(params: &Object<'_>, faults: &mut Faults) -> Option<Client> {
    let client = Object::closed(params.required("client", faults)?, "/client", CLIENT, faults)?;
    let id = client.required_word("id", ClientId::parse, faults);
    let mode = client.required_word("mode", ClientMode::parse, faults);
    let version = client.required_text("version", LABEL_CHARS_MAX, faults);
    let platform = client.required_text("platform", LABEL_CHARS_MAX, faults);
    let display_name = client.label("displayName", LABEL_CHARS_MAX, faults);
    let device_family = client.label("deviceFamily", LABEL_CHARS_MAX, faults);
    let instance_id = client.label("instanceId", LABEL_CHARS_MAX, faults);
    let build_id = client.label("buildId", BUILD_ID_CHARS_MAX, faults);
    // Read for their shape only.
    client.label("modelIdentifier", LABEL_CHARS_MAX, faults);
    client.label("timeZone", TIME_ZONE_CHARS_MAX, faults);
    Some(Client { id: id?, mode: mode?, version, platform, display_name, device_family, instance_id, build_id })
}

fn scopes(params: &Object<'_>, faults: &mut Faults) -> ScopesAsSent {
    let texts = params.texts("scopes", SCOPES_MAX, SCOPE_CHARS_MAX, faults).unwrap_or_default();
    let mut scopes = Vec::with_capacity(texts.len());
    for (index, text) in texts.iter().enumerate() {
        match Scope::parse(text) {
            Ok(scope) => scopes.push(scope),
            Err(_) => faults.add(&format!("/scopes/{index}"), r#"must match pattern "^[A-Za-z0-9._:*/-]+$""#),
        }
    }
    ScopesAsSent::new(scopes)
}

fn device(value: &Value, params: &Object<'_>, version: Version, faults: &mut Faults) -> Option<DeviceParams> {
    let device = Object::closed(value, &params.path("device"), DEVICE, faults)?;
    let id = device.required_text("id", LABEL_CHARS_MAX, faults);
    let public_key = device.required_text("publicKey", PUBLIC_KEY_CHARS_MAX, faults);
    let signature = device.required_text("signature", LABEL_CHARS_MAX, faults);
    let signed_at = device.required_integer("signedAt", 0, faults);
    let nonce = match version {
        Version::V3 => device.text("nonce", LABEL_CHARS_MAX, faults),
        Version::V4 => Some(device.required_text("nonce", LABEL_CHARS_MAX, faults)),
    };
    Some(DeviceParams { id, public_key, signature, signed_at, nonce })
}

fn auth(value: &Value, params: &Object<'_>, faults: &mut Faults) -> Auth {
    let Some(auth) = Object::closed(value, &params.path("auth"), AUTH, faults) else { return Auth::default() };
    let mut secret = |key| {
        let text = auth.text(key, CREDENTIAL_CHARS_MAX, faults);
        text.filter(|text| !text.is_empty()).map(Secret::new)
    };
    let [token, password] = ["token", "password"].map(&mut secret);
    let [device_token, bootstrap_token] = ["deviceToken", "bootstrapToken"].map(&mut secret);
    // Read for their type only: nothing here grants anything for them.
    let _ = ["approvalRuntimeToken", "agentRuntimeIdentityToken"].map(&mut secret);
    Auth { token, password, device_token, bootstrap_token }
}

fn permissions(params: &Object<'_>, faults: &mut Faults) {
    let path = params.path("permissions");
    match params.optional("permissions") {
        None => {}
        Some(Value::Object(entries)) => {
            if entries.len() > CAPABILITIES_MAX {
                faults.add(&path, format_args!("must not have more than {CAPABILITIES_MAX} properties"));
            }
            if !entries.values().all(Value::is_boolean) {
                faults.add(&path, "must have boolean values only");
            }
        }
        Some(_) => faults.add(&path, "must be object"),
    }
}
