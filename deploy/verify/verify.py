"""Verifies doorward's assertion (the header X-Doorward-Assertion) in an upstream.

Needs PyJWT and cryptography (Debian: python3-jwt, python3-cryptography). Fetch the JWK Set from the edge's
/.well-known/doorward/jwks.json over a connection you trust, keep it, and fetch it again (at most once a minute) when a
token names a key that is not in it.

Exactly one header line must carry the assertion: refuse a request with two, or with none. Single use is yours to keep:
remember `jti` until `exp` and the leeway have passed, and refuse an assertion with `req` whose `jti` you have seen.
"""

import base64
import hashlib
import json
import time

import jwt

LEEWAY = 60  # seconds between the two clocks
LIFE = 30  # the longest `exp - iat`
SHARED = 10  # an assertion without `req` is shared for so long


class Refused(Exception):
    """Why an assertion is not believed: for your log, not for the caller."""


def verify(header, jwks, audience, issuer, request):
    """The claims of `header`, or Refused.

    `request`: {"method", "authority" (the Host), "path" (with its query), "upgrade" (bool), "ws_key" (or None)}.
    """
    _check(len(header) <= 8192 and header.count(".") == 2, "shape")
    segments = [_decode(segment) for segment in header.split(".")]
    head = _object(segments[0])
    _check(set(head) == {"alg", "typ", "kid"}, "jose header")
    _check(head["alg"] == "EdDSA", "algorithm")
    _check(head["typ"] == "doorward-origin+jwt", "type")
    keys = [key for key in jwks["keys"] if key.get("kid") == head["kid"] and key.get("crv") == "Ed25519"]
    _check(len(keys) == 1, "unknown key")
    try:
        # The algorithm is pinned here, never taken from the token.
        jwt.api_jws.decode_complete(header, jwt.PyJWK(keys[0]).key, algorithms=["EdDSA"])
    except jwt.exceptions.PyJWTError as error:
        raise Refused("signature") from error
    claims = _object(segments[1])
    _check_claims(claims, audience, issuer)
    _check_request(claims, request)
    return claims


def _check_claims(claims, audience, issuer):
    now = time.time()
    _check(claims.get("iss") == issuer, "issuer")
    _check(claims.get("aud") == audience, "audience")  # one string, exactly
    iat, nbf, exp = (claims.get(name) for name in ("iat", "nbf", "exp"))
    _check(all(type(at) is int for at in (iat, nbf, exp)), "times")
    _check(0 <= exp - iat <= LIFE, "life")
    _check(max(iat, nbf) <= now + LEEWAY, "not yet valid")
    _check(now < exp + LEEWAY, "expired")
    _check(isinstance(claims.get("jti"), str) and isinstance(claims.get("sub"), str), "jti and sub")


def _check_request(claims, request):
    bound = claims.get("req")
    if bound is None:
        # Shared by reads of one connection: never for what changes something.
        plain = request["method"] in ("GET", "HEAD") and not request["upgrade"] and not request["ws_key"]
        _check("req" not in claims and plain, "not bound to this request")
        _check(time.time() - claims["iat"] <= SHARED + LEEWAY, "shared for too long")
        return
    path = base64.urlsafe_b64encode(hashlib.sha256(request["path"].encode()).digest()).rstrip(b"=").decode()
    actual = {
        "method": request["method"],
        "authority": request["authority"].lower(),
        "path_sha256": path,
        "upgrade": request["upgrade"],
    }
    if request["ws_key"] is not None:
        actual["ws_key"] = request["ws_key"]
    _check(bound == actual, "for another request")


def _check(holds, why):
    if not holds:
        raise Refused(why)


def _decode(segment):
    """Base64url in its one canonical spelling."""
    try:
        octets = base64.b64decode(segment + "=" * (-len(segment) % 4), altchars=b"-_", validate=True)
    except ValueError as error:
        raise Refused("base64url") from error
    _check(base64.urlsafe_b64encode(octets).rstrip(b"=").decode() == segment, "base64url")
    return octets


def _object(octets):
    """A JSON object in which no name stands twice."""

    def unique(pairs):
        _check(len({name for name, _ in pairs}) == len(pairs), "a name stands twice")
        return dict(pairs)

    try:
        value = json.loads(octets, object_pairs_hook=unique)
    except ValueError as error:
        raise Refused("json") from error
    _check(isinstance(value, dict), "json")
    return value
