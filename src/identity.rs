//! What we sign and what we strip: the assertion that carries an origin from edge to core.
