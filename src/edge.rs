//! HTTP at the edge: origin, limits, route, strip, sign, core, access log.
