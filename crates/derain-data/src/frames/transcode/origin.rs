//! What a video's groups were made from, and with what.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::VideoEncoder;
use crate::Error;
use crate::hash::hash_file;
use crate::hex::hex;
use crate::paths::Shown;

const INPUT: &str = "input";

/// All that a video's groups depend on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Origin {
    /// By name.
    settings: BTreeMap<String, String>,
    /// For people: where a file lies makes no difference.
    input_path: String,
}

impl Origin {
    /// The input's content, which is hashed, and the encoder's settings.
    ///
    /// # Errors
    /// When the input cannot be read.
    pub fn of(input: &Path, encoder: &VideoEncoder) -> Result<Self, Error> {
        let mut hash = Sha256::new();
        hash_file(input, &mut hash)?;
        let settings = [(INPUT.to_owned(), hex(&hash.finalize())), ("encoder".to_owned(), encoder.settings())];
        Ok(Self { settings: settings.into(), input_path: input.to_string_lossy().into_owned() })
    }

    /// Adds something else on which the frames depend, the hash of a network's weights say.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.settings.insert(name.to_owned(), value.to_owned());
        self
    }

    /// SHA-256 of all but the path.
    pub(super) fn hash(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        for text in self.settings.iter().flat_map(|(name, value)| [name, value]) {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        }
        hash.finalize().into()
    }

    /// How this differs from an earlier one, in words.
    pub(super) fn changes_since(&self, earlier: &Self) -> Option<String> {
        let (now, before) = (&self.settings, &earlier.settings);
        let names = now.keys().chain(before.keys().filter(|name| !now.contains_key(*name)));
        let changes = names.filter(|name| now.get(*name) != before.get(*name));
        let words: Vec<String> =
            changes.map(|name| format!("{name} was {} and is {}", earlier.value(name), self.value(name))).collect();
        (!words.is_empty()).then(|| words.join("; "))
    }

    /// What is said of a name.
    fn value(&self, name: &str) -> String {
        match self.settings.get(name) {
            Some(hash) if name == INPUT => format!("{} (SHA-256 {hash:.8}…)", Path::new(&self.input_path).shown()),
            Some(value) => value.clone(),
            None => "nothing".to_owned(),
        }
    }
}
