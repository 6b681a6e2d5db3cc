//! The doors: accepting, PROXY headers, TLS, and the limits of a connection.
