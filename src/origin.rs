//! Who is calling, and how we know: from socket peer, PROXY header and forwarding headers to one origin.
