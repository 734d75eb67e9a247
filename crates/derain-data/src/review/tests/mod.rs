//! The server, spoken to as a browser would, and as nobody should.

mod access;
mod client;
mod verdicts;
