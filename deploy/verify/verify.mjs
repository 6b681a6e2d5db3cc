// Verifies doorward's assertion (the header X-Doorward-Assertion) in an upstream, with nothing but node's own crypto.
//
// Fetch the JWK Set from the edge's /.well-known/doorward/jwks.json over a connection you trust, keep it, and fetch it
// again (at most once a minute) when a token names a key that is not in it.
//
// Exactly one header line must carry the assertion: refuse a request with two (node joins them with a comma, which is no
// token), or with none. Single use is yours to keep: remember `jti` until `exp` and the leeway have passed, and refuse an
// assertion with `req` whose `jti` you have seen.

import { createHash, createPublicKey, verify as verifySignature } from "node:crypto";

const LEEWAY = 60; // seconds between the two clocks
const LIFE = 30; // the longest `exp - iat`
const SHARED = 10; // an assertion without `req` is shared for so long

/** Why an assertion is not believed: for your log, not for the caller. */
export class Refused extends Error {}

/**
 * The claims of `header`; throws Refused.
 * `request`: { method, authority (the Host), path (with its query), upgrade (boolean), ws_key (or null) }.
 */
export function verify(header, jwks, audience, issuer, request) {
  check(typeof header === "string" && header.length <= 8192, "shape");
  const segments = header.split(".");
  check(segments.length === 3, "shape");
  const [head, claims] = segments.slice(0, 2).map((segment) => object(decode(segment)));
  check(Object.keys(head).sort().join() === "alg,kid,typ", "jose header");
  // The algorithm is pinned here, never taken from the token.
  check(head.alg === "EdDSA", "algorithm");
  check(head.typ === "doorward-origin+jwt", "type");
  const keys = jwks.keys.filter((key) => key.kid === head.kid && key.kty === "OKP" && key.crv === "Ed25519");
  check(keys.length === 1, "unknown key");
  const key = createPublicKey({ key: keys[0], format: "jwk" });
  const signed = Buffer.from(`${segments[0]}.${segments[1]}`);
  check(verifySignature(null, signed, key, decode(segments[2])), "signature");
  checkClaims(claims, audience, issuer);
  checkRequest(claims, request);
  return claims;
}

function checkClaims(claims, audience, issuer) {
  const now = Date.now() / 1000;
  check(claims.iss === issuer, "issuer");
  check(claims.aud === audience, "audience"); // one string, exactly
  const { iat, nbf, exp } = claims;
  check([iat, nbf, exp].every(Number.isSafeInteger), "times");
  check(exp - iat >= 0 && exp - iat <= LIFE, "life");
  check(Math.max(iat, nbf) <= now + LEEWAY, "not yet valid");
  check(now < exp + LEEWAY, "expired");
  check(typeof claims.jti === "string" && typeof claims.sub === "string", "jti and sub");
}

function checkRequest(claims, request) {
  if (!("req" in claims)) {
    // Shared by reads of one connection: never for what changes something.
    const plain = ["GET", "HEAD"].includes(request.method) && !request.upgrade && !request.ws_key;
    check(plain, "not bound to this request");
    check(Date.now() / 1000 - claims.iat <= SHARED + LEEWAY, "shared for too long");
    return;
  }
  const bound = claims.req;
  check(bound !== null && typeof bound === "object", "req");
  check(bound.method === request.method, "another method");
  check(bound.authority === request.authority.toLowerCase(), "another authority");
  check(bound.path_sha256 === createHash("sha256").update(request.path).digest("base64url"), "another path");
  check(bound.upgrade === request.upgrade, "another upgrade");
  check((bound.ws_key ?? null) === request.ws_key, "another websocket key");
}

function check(holds, why) {
  if (!holds) throw new Refused(why);
}

/** Base64url in its one canonical spelling. */
function decode(segment) {
  const octets = Buffer.from(segment, "base64url");
  check(octets.toString("base64url") === segment, "base64url");
  return octets;
}

function object(octets) {
  let value;
  try {
    value = JSON.parse(octets.toString("utf8"));
  } catch {
    throw new Refused("json");
  }
  check(value !== null && typeof value === "object" && !Array.isArray(value), "json");
  return value;
}
