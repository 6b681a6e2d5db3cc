//! The groups that an issuer's token names: all of them, or none is known. A list of which a part was left out would let in, or
//! keep out, whom it does not mean.

use serde_json::{Map, Value};

use crate::base::limits::{GROUPS_MAX, IDENTITY_BYTES_MAX, LABEL_CHARS_MAX};
use crate::base::printable::is_label;
use crate::identity::claims::IdentityClaim;

/// The groups that `claim` names, if an assertion has room for them beside `identity`. `None` where the claim is absent or
/// anything else than one name or a list of names: then nobody knows.
pub(super) fn read(claims: &Map<String, Value>, claim: &str, identity: &IdentityClaim) -> Option<Vec<String>> {
    let name = |value: &Value| value.as_str().filter(|text| is_label(text, LABEL_CHARS_MAX)).map(str::to_owned);
    let groups: Vec<String> = match claims.get(claim)? {
        Value::Array(list) if list.len() <= GROUPS_MAX => list.iter().map(name).collect::<Option<_>>()?,
        one => vec![name(one)?],
    };
    let named = identity.name.as_ref().map_or(0, String::len);
    let labels = identity.login.len().saturating_mul(2).saturating_add(named);
    // As JSON writes them: a quote in a name takes two bytes there.
    let written = serde_json::to_vec(&groups).ok()?.len();
    (labels.saturating_add(written) <= IDENTITY_BYTES_MAX).then_some(groups)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn groups_are_one_name_or_a_list_of_names_and_else_unknown() {
        let many = |count: usize| json!(vec!["g"; count]);
        for (claim, expected) in [
            (json!(["staff", "Staff", "cn=a,dc=b"]), Some(vec!["staff", "Staff", "cn=a,dc=b"])),
            (json!("staff"), Some(vec!["staff"])),
            // One name, whatever stands in it.
            (json!("staff,admins"), Some(vec!["staff,admins"])),
            (json!([]), Some(vec![])),
            (many(GROUPS_MAX), Some(vec!["g"; GROUPS_MAX])),
            (many(GROUPS_MAX + 1), None),
            (json!("x".repeat(LABEL_CHARS_MAX + 1)), None),
            (json!(["staff", 7]), None),
            (json!(["staff", ""]), None),
            (json!(["staff", "a\nb"]), None),
            (json!(["staff", "staff "]), None),
            (json!(["staff", "staff\u{202e}"]), None),
            (json!(["staff", ["admins"]]), None),
            (json!(["staff", null]), None),
            (json!({"staff": true}), None),
            (json!(""), None),
            (json!(7), None),
            (json!(true), None),
            (json!(null), None),
        ] {
            let claims = Map::from_iter([("groups".to_owned(), claim.clone())]);
            let found = read(&claims, "groups", &person("u", None));
            let expected = expected.map(|names| names.into_iter().map(str::to_owned).collect::<Vec<_>>());
            assert_eq!(found, expected, "{claim}");
            assert_eq!(read(&claims, "roles", &person("u", None)), None, "another claim");
        }
    }

    #[test]
    fn groups_that_an_assertion_has_no_room_for_are_unknown() {
        let longest = "\u{10348}".repeat(LABEL_CHARS_MAX);
        let of = |group: String| Map::from_iter([("groups".to_owned(), json!([group]))]);
        let (one, quotes) = (of("g".to_owned()), of("\"".repeat(LABEL_CHARS_MAX)));
        assert!(read(&one, "groups", &person(&longest, None)).is_some());
        assert_eq!(read(&one, "groups", &person(&longest, Some(&longest))), None);
        // 256 quotes are 512 bytes, and `[""]` four more.
        let name = |bytes: usize| "n".repeat(bytes - 2 * longest.len() - 2 * LABEL_CHARS_MAX - 4);
        assert!(read(&quotes, "groups", &person(&longest, Some(&name(IDENTITY_BYTES_MAX)))).is_some());
        assert_eq!(read(&quotes, "groups", &person(&longest, Some(&name(IDENTITY_BYTES_MAX + 1)))), None);
    }

    fn person(login: &str, name: Option<&str>) -> IdentityClaim {
        IdentityClaim { provider: "jwt".into(), login: login.into(), name: name.map(str::to_owned), groups: None }
    }
}
