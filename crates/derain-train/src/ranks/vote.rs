use super::Ranks;
use crate::{Error, Result};

/// Bits of a vote.
const FAILED: u8 = 1;
const ASKED: u8 = 2;

/// What this rank made, if all ranks have made theirs. Every rank must call it at the same place.
///
/// # Errors
/// If any rank failed: the first that did keeps its error, the others get [`Error::OtherRank`].
pub fn agree<T>(ranks: &dyn Ranks, own: Result<T>) -> Result<T> {
    Ok(vote(ranks, own, false)?.own)
}

/// What a vote comes to if no rank failed.
pub(crate) struct Voted<T> {
    /// What this rank made.
    pub own: T,
    /// Whether any rank asks for something.
    pub asked: bool,
}

/// The same as [`agree`], and whether any rank asks for something.
pub(crate) fn vote<T>(ranks: &dyn Ranks, own: Result<T>, asks: bool) -> Result<Voted<T>> {
    if ranks.size() == 1 {
        return Ok(Voted { own: own?, asked: asks });
    }
    // A rank that ends because another failed leaves it to that one to report the failure.
    let speaks = own.as_ref().is_err_and(|error| !matches!(error, Error::OtherRank { .. }));
    let ballot = if speaks { FAILED } else { 0 } | if asks { ASKED } else { 0 };
    let ballots = match ranks.gather(&[ballot]) {
        Ok(ballots) => ballots,
        Err(error) => return Err(own.err().unwrap_or(error)),
    };
    match ballots.iter().position(|ballot| ballot & FAILED != 0) {
        Some(rank) if rank != ranks.rank() => Err(Error::OtherRank { rank }),
        // Without a failure elsewhere there is only its own.
        _ => Ok(Voted { own: own?, asked: ballots.iter().any(|ballot| ballot & ASKED != 0) }),
    }
}

/// Rank 0's bytes, of which the others need not know the number.
pub(crate) fn broadcast(ranks: &dyn Ranks, own: Vec<u8>) -> Result<Vec<u8>> {
    let mut length = (own.len() as u64).to_le_bytes();
    ranks.broadcast(0, &mut length)?;
    let mut bytes = own;
    bytes.resize(u64::from_le_bytes(length) as usize, 0);
    ranks.broadcast(0, &mut bytes)?;
    Ok(bytes)
}
