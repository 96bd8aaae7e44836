//! The numbers of a gateway's units over restarts of the program: a small file, read before the first poll
//! and written when a unit has been seen for the first time.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::FutureExt;
use log::warn;
use tokio::task::spawn_blocking;

use crate::files::{self, What};
use crate::model::{Numbering, NumberingMemory};

/// A file larger than this is not ours.
const LARGEST: usize = 64 << 10;

/// Adds what was known when the program ran last to `memory`. What the file holds; nothing if nobody kept it.
pub(super) async fn recall(id: Arc<str>, file: PathBuf, memory: Arc<NumberingMemory>) -> Arc<Numbering> {
    let before = spawn_blocking(move || read(&id, &file)).await.ok().flatten().unwrap_or_default();
    memory.recall(before.clone());
    before.into()
}

fn read(id: &str, file: &Path) -> Option<Numbering> {
    let text = files::read(file, LARGEST).ok()?;
    let numbering = serde_json::from_slice(&text);
    let refused = |error: &serde_json::Error| {
        warn!(gateway = id; "gateway {id}: {}: {error}; units are renumbered", file.display());
    };
    numbering.inspect_err(refused).ok()
}

/// Keeps what is known now of the gateway `id`, in the order of the calls.
pub(super) fn keep(id: &str, file: &Path, numbering: &Numbering) -> impl Future<Output = ()> + use<> {
    let text = serde_json::to_string_pretty(numbering).unwrap_or_default() + "\n";
    let kept = files::keep(file, What::of(id, "the numbers of the units"), text);
    // A failure is logged, and the text is written when it can be.
    kept.map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix_web::test]
    async fn numbers_are_kept_over_restarts_and_a_broken_file_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(".units.json");
        let remembered = || async {
            let memory = Arc::new(NumberingMemory::default());
            let kept = recall("home".into(), file.clone(), memory.clone()).await;
            assert_eq!(kept, memory.known());
            Numbering::clone(&memory.known())
        };
        assert_eq!(remembered().await, Numbering::default());
        let numbering = Numbering { units: vec!["B".into(), "A".into()], ..Numbering::default() };
        keep("home", &file, &numbering).await;
        assert_eq!(remembered().await, numbering);
        for broken in ["", "[1]", r#"{"units":7}"#, &" ".repeat(LARGEST + 1)] {
            std::fs::write(&file, broken).unwrap();
            assert_eq!(remembered().await, Numbering::default());
        }
    }
}
