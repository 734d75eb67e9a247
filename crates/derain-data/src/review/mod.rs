//! Judging clean images on a local web page.
//!
//! [`ReviewServer`] serves the page from a thread of its own; every [`WebJudge`] that it hands out shows its candidate there and waits.
//! The page compares the clean image with the first frame (flicker, slider, side by side, amplified difference), zooms
//! both at once, shows the votes over p, and takes a verdict by key: accept, more frames, reject. Several videos may
//! wait at once, each in a thread of its own; they are shown in the order of arrival.
//!
//! Verdicts are kept in a file of JSON lines, synced before the page hears that they are. Whoever starts again with the
//! same file is not asked again: a verdict holds for a video's name, the number of frames and the SHA-256 of the clean
//! image.
//!
//! What keeps others out: the page listens on 127.0.0.1 unless told otherwise; every request needs the token of the
//! address, in a cookie or header, and one that changes something needs it in a header; foreign `Host` and `Origin` are
//! refused; pictures are served from memory, by numbers. No path of a request is opened.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use derain_data::review::{ReviewOptions, ReviewServer};
//!
//! # let folder = tempfile::tempdir()?;
//! # let verdicts = folder.path().join("verdicts.jsonl");
//! let server = ReviewServer::start(&verdicts, &ReviewOptions::default())?;
//! let address = server.url(); // for the person's browser
//! assert!(address.starts_with("http://127.0.0.1:"));
//! let judge = server.judge(); // for `judged_clean_image` or `build_dataset`
//! # drop(judge);
//! server.shutdown();
//! # Ok(()) }
//! ```

mod access;
mod judge;
mod log;
mod queue;
mod routes;
mod server;
mod shared;
#[cfg(test)]
mod tests;
mod view;

use std::net::{Ipv4Addr, SocketAddr};

pub use judge::WebJudge;
pub use server::ReviewServer;

/// Where the page is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReviewOptions {
    /// Address and port; port 0 lets the system choose. Anything but a loopback address lets others on the network
    /// reach the page, which then is guarded by the token alone, in clear text.
    pub address: SocketAddr,
    /// Further values of the header `Host`, port included, such as `workstation:8080` for an address that others use or
    /// a tunnel.
    pub hosts: Vec<String>,
}

impl Default for ReviewOptions {
    /// This machine only, any port.
    fn default() -> Self {
        Self { address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), hosts: Vec::new() }
    }
}
