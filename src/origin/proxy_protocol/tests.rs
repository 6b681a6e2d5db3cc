//! Tables and properties of the PROXY decoder, with a sender to write what it reads.
