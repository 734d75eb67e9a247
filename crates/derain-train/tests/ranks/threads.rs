//! Ranks as threads of one process, which tell each other bytes through channels.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use derain_train::{Error, Ranks, Result};

/// One of them. When it is dropped, who waits for it gets an error.
pub(crate) struct Thread {
    rank: usize,
    to: Vec<Sender<Vec<u8>>>,
    from: Vec<Mutex<Receiver<Vec<u8>>>>,
}

/// As many as are asked for, by rank.
pub(crate) fn group(size: usize) -> Vec<Arc<dyn Ranks>> {
    let mut to: Vec<Vec<Sender<Vec<u8>>>> = (0..size).map(|_| Vec::new()).collect();
    let mut from: Vec<Vec<Mutex<Receiver<Vec<u8>>>>> = (0..size).map(|_| Vec::new()).collect();
    for to in &mut to {
        for from in &mut from {
            let (sender, receiver) = channel();
            to.push(sender);
            from.push(Mutex::new(receiver));
        }
    }
    let ranks = to.into_iter().zip(from).enumerate();
    ranks.map(|(rank, (to, from))| Arc::new(Thread { rank, to, from }) as Arc<dyn Ranks>).collect()
}

impl Thread {
    fn gone(&self, rank: usize) -> Error {
        Error::NoRank { rank, ranks: self.to.len() }
    }
}

impl Ranks for Thread {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.to.len()
    }

    fn send(&self, to: usize, bytes: &[u8]) -> Result<()> {
        self.to[to].send(bytes.to_vec()).map_err(|_| self.gone(to))
    }

    fn receive(&self, from: usize, bytes: &mut [u8]) -> Result<()> {
        let received = self.from[from].lock().unwrap().recv().map_err(|_| self.gone(from))?;
        assert_eq!(received.len(), bytes.len(), "rank {} and {from} speak of different things", self.rank);
        bytes.copy_from_slice(&received);
        Ok(())
    }

    fn broadcast(&self, from: usize, bytes: &mut [u8]) -> Result<()> {
        if self.rank != from {
            return self.receive(from, bytes);
        }
        (0..self.size()).filter(|&to| to != from).try_for_each(|to| self.send(to, bytes))
    }

    fn gather(&self, own: &[u8]) -> Result<Vec<u8>> {
        (0..self.size()).try_for_each(|to| self.send(to, own))?;
        let mut all = vec![0; own.len() * self.size()];
        all.chunks_mut(own.len()).enumerate().try_for_each(|(from, bytes)| self.receive(from, bytes))?;
        Ok(all)
    }
}
