//! `Forwarded` (RFC 7239), by its whole grammar.
//!
//! All lines are one list (RFC 9110 §5.3). Before any of it is believed every line must be grammatical: a quote that a
//! caller opened and nobody closed would otherwise swallow what the proxy appended, or be skipped as if it were not
//! there. So text further left can end as nobody, but never as another client. Only what is left of white space between
//! elements is forgiven, because the list syntax has it; around `;` and `=` there is none.

use std::net::IpAddr;
use std::ops::ControlFlow;

use http::HeaderMap;
use http::header::FORWARDED;

use super::Chain;
use super::Node;
use super::Walk;
use super::trimmed;
use crate::base::limits::FORWARDED_NODE_BYTES_MAX;
use crate::base::limits::FORWARDED_PARAMETERS_MAX;
use crate::net::host::is_tchar;
use crate::origin::witness::Verdict;
use crate::origin::witness::Witness;

/// Walks all lines of `Forwarded` as one list, right to left, to the first hop that `chain` does not trust.
pub(super) fn client<W: Witness>(headers: &HeaderMap, mut chain: Chain<'_, W>) -> Walk {
    let lines = headers.get_all(FORWARDED);
    let mut nearest_first = lines.iter().rev().map(http::HeaderValue::as_bytes).enumerate();
    if let Some((index, line)) = nearest_first.find(|(_, line)| !is_list(line)) {
        chain.refuse(index, trimmed(line), Verdict::Ungrammatical);
        return Walk::Ungrammatical;
    }
    for (index, line) in lines.iter().rev().map(http::HeaderValue::as_bytes).enumerate() {
        chain.enter(index);
        let mut left = Some(line);
        while let Some(text) = left {
            let element;
            (left, element) = split_last(text);
            let element = trimmed(element);
            if let ControlFlow::Break(walk) = chain.pass(element, node_of(element)) {
                return walk;
            }
        }
    }
    chain.end()
}

/// `1#forwarded-element`; an element may be empty (RFC 7239 §4).
fn is_list(line: &[u8]) -> bool {
    let mut rest = line;
    while let Some(after) = after_element(trimmed(rest)) {
        match trimmed(after) {
            [] => return true,
            [b',', next @ ..] => rest = next,
            _ => return false,
        }
    }
    false
}

/// What follows `[ forwarded-pair ] *( ";" [ forwarded-pair ] )`, in which no parameter may stand twice.
fn after_element(text: &[u8]) -> Option<&[u8]> {
    let mut names: [&[u8]; FORWARDED_PARAMETERS_MAX] = [&[]; FORWARDED_PARAMETERS_MAX];
    let mut free = names.len();
    let mut rest = text;
    loop {
        if rest.first().is_some_and(|byte| is_tchar(*byte)) {
            let pair = Pair::read(rest)?;
            let repeated = |name: &&[u8]| name.eq_ignore_ascii_case(pair.name);
            free = free.checked_sub(1)?;
            if names.iter().any(repeated) {
                return None;
            }
            *names.get_mut(free)? = pair.name;
            rest = pair.rest;
        }
        match rest {
            [b';', after @ ..] => rest = after,
            _ => return Some(rest),
        }
    }
}

/// `forwarded-pair = token "=" value`, and what follows.
struct Pair<'a> {
    name: &'a [u8],
    value: Value<'a>,
    rest: &'a [u8],
}

/// `value = token / quoted-string`.
enum Value<'a> {
    Token(&'a [u8]),
    /// What stands between the quotes, its quoted-pairs not yet undone.
    Quoted(&'a [u8]),
}

impl<'a> Pair<'a> {
    fn read(text: &'a [u8]) -> Option<Self> {
        let (name, rest) = token(text)?;
        match rest.strip_prefix(b"=")? {
            [b'"', quoted @ ..] => {
                let (value, rest) = quoted_string(quoted)?;
                Some(Self { name, value: Value::Quoted(value), rest })
            }
            plain => {
                let (value, rest) = token(plain)?;
                Some(Self { name, value: Value::Token(value), rest })
            }
        }
    }
}

/// `1*tchar` (RFC 9110 §5.6.2), and what follows.
fn token(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = text.iter().take_while(|byte| is_tchar(**byte)).count();
    text.split_at_checked(length).filter(|_| length > 0)
}

/// What stands before the closing quote (RFC 9110 §5.6.4), and what follows it.
fn quoted_string(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let is_text = |byte: u8| byte == b'\t' || (byte >= b' ' && byte != 0x7f);
    let mut escaped = false;
    for (at, byte) in text.iter().copied().enumerate() {
        match byte {
            byte if !is_text(byte) => return None,
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some((text.get(..at)?, text.get(at + 1..)?)),
            _ => {}
        }
    }
    None
}

/// The last element of a grammatical list and what stands before its comma. From the right, a quote outside a string closes
/// one, and within it every other quote has its backslash before it.
fn split_last(list: &[u8]) -> (Option<&[u8]>, &[u8]) {
    let mut quoted = false;
    for (at, byte) in list.iter().enumerate().rev() {
        match byte {
            b'"' if quoted => quoted = at.checked_sub(1).and_then(|before| list.get(before)) == Some(&b'\\'),
            b'"' => quoted = true,
            b',' if !quoted => return (list.get(..at), list.get(at + 1..).unwrap_or_default()),
            _ => {}
        }
    }
    (None, list)
}

/// The node in the `for` parameter of an element.
fn node_of(element: &[u8]) -> Option<Node> {
    let mut rest = element;
    loop {
        if let [b';', after @ ..] = rest {
            rest = after;
            continue;
        }
        let pair = Pair::read(rest)?;
        if pair.name.eq_ignore_ascii_case(b"for") {
            return pair.value.node();
        }
        rest = pair.rest;
    }
}

impl Value<'_> {
    fn node(&self) -> Option<Node> {
        match self {
            Self::Token(text) => node(text),
            Self::Quoted(text) => {
                let mut bytes = [0; FORWARDED_NODE_BYTES_MAX];
                let mut length = 0;
                let mut escaped = false;
                for byte in text.iter().copied() {
                    if byte == b'\\' && !escaped {
                        escaped = true;
                        continue;
                    }
                    escaped = false;
                    *bytes.get_mut(length)? = byte;
                    length += 1;
                }
                node(bytes.get(..length)?)
            }
        }
    }
}

/// `node = nodename [ ":" node-port ]` (RFC 7239 §6) as far as it names an address: `unknown` and obfuscated identifiers
/// are grammatical and name nobody.
fn node(text: &[u8]) -> Option<Node> {
    let text = std::str::from_utf8(text).ok()?;
    let (ip, after) = match text.strip_prefix('[') {
        Some(rest) => {
            let (inner, after) = rest.split_once(']')?;
            (IpAddr::V6(inner.parse().ok()?), after)
        }
        None => {
            let name = text.split(':').next()?;
            (IpAddr::V4(name.parse().ok()?), text.strip_prefix(name)?)
        }
    };
    let port = match after.strip_prefix(':') {
        Some(port) => node_port(port)?,
        None if after.is_empty() => None,
        None => return None,
    };
    Some((ip.to_canonical(), port))
}

/// `node-port = port / obfport` (RFC 7239 §6): an obfuscated one tells nothing, and takes nothing from the address.
fn node_port(text: &str) -> Option<Option<u16>> {
    let is_obfuscated = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    match text.strip_prefix('_') {
        Some(rest) => (!rest.is_empty() && rest.bytes().all(is_obfuscated)).then_some(None),
        None if text.len() <= 5 && text.bytes().all(|byte| byte.is_ascii_digit()) => {
            // 0 is no port (RFC 6335 §6).
            text.parse().ok().map(|port: u16| Some(port).filter(|port| *port > 0))
        }
        None => None,
    }
}

#[cfg(test)]
mod tests;
