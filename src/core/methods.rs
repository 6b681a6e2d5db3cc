//! What the methods of the gateway protocol do. Each reads its parameters, closed, and asks the one function for it.

pub(super) mod device;
pub(super) mod node;
pub(super) mod scopes;
pub(super) mod setup;
pub(super) mod system;

use serde_json::value::RawValue;

use crate::base::limits::LABEL_CHARS_MAX;
use crate::protocol::call::CallError;
use crate::protocol::json;
use crate::protocol::schema::Faults;
use crate::protocol::schema::Object;

/// Reads the parameters of `method`: an object with a text under each of `keys` and what `rest` makes of `others`, and
/// with no other keys; none at all is an empty one.
fn read<const N: usize, T>(
    method: &'static str,
    params: Option<&RawValue>,
    keys: [&str; N],
    others: &[&str],
    rest: impl FnOnce(&Object<'_>, &mut Faults) -> T,
) -> Result<([String; N], T), CallError> {
    let mut faults = Faults::default();
    let Ok(value) = json::parse(params.map_or("{}", RawValue::get)) else {
        let faults = Faults::one("", "must not have duplicate properties");
        return Err(CallError::ParamsInvalid { method, faults });
    };
    let read = Object::closed(&value, "", &[&keys, others].concat(), &mut faults).map(|params| {
        let texts = keys.map(|key| params.required_text(key, LABEL_CHARS_MAX, &mut faults));
        (texts, rest(&params, &mut faults))
    });
    match read {
        Some(read) if faults.is_empty() => Ok(read),
        _ => Err(CallError::ParamsInvalid { method, faults }),
    }
}
