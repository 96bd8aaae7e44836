//! Keeps pictures that were made, and makes one at a time, beside the threads that answer.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use ring::digest::{SHA256, digest};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::asked::Asked;
use super::raster::{Undrawn, outlined, png};
use super::scene::{Scene, Sight};
use super::template::template;

/// Pictures that are kept: a house has a few displays, each with one size.
const KEPT: usize = 8;
/// Clients that may wait for the one that is being made.
const QUEUE: usize = 16;
/// How long one waits at most.
const PATIENCE: Duration = Duration::from_secs(5);

/// The form of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    Svg,
    Png,
}

/// A picture that can be made, and what it will be known by. Nothing has been rendered yet.
pub struct Draft {
    asked: Asked,
    form: Form,
    svg: String,
    title: String,
    /// Entity tag: the same as long as the picture stays the same.
    pub tag: String,
}

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
pub enum Unmade {
    #[error("{QUEUE} pictures are waiting to be drawn, or one takes too long: ask again in a few seconds")]
    Busy,
    #[error(transparent)]
    Undrawn(#[from] Undrawn),
    #[error("the picture could not be drawn")]
    Panicked,
}

/// A picture that was made.
struct Kept {
    asked: Asked,
    form: Form,
    tag: String,
    bytes: Bytes,
}

/// All of them.
pub struct Gallery {
    /// The ones that were wanted last at the end.
    kept: Mutex<VecDeque<Kept>>,
    /// One is made at a time, so that pictures take one core at most and 8 MB once.
    turn: Arc<Semaphore>,
    /// Who may wait for it, the one whose turn it is included.
    queue: Semaphore,
}

impl Default for Gallery {
    fn default() -> Self {
        let turn = Arc::new(Semaphore::new(1));
        Self { kept: Mutex::default(), turn, queue: Semaphore::new(QUEUE + 1) }
    }
}

impl Draft {
    /// `None`: there is no such gateway.
    pub fn of(sight: &Sight<'_>, asked: Asked, form: Form) -> Option<Self> {
        let scene = Scene::of(sight, asked.language)?;
        let svg = template(&scene, &asked);
        let mut content = svg.clone();
        // The same shapes become other pixels with other colours.
        content.push_str(&format!("{form:?}{:?}", asked.colors));
        let hash = digest(&SHA256, content.as_bytes());
        let tag = hash.as_ref()[..12].iter().map(|byte| format!("{byte:02x}")).collect();
        Some(Self { title: scene.words(), asked, form, svg, tag })
    }
}

impl Gallery {
    /// The picture: as it was made before, or made now.
    ///
    /// # Errors
    /// If too many wait already, it takes too long, or it cannot be made.
    pub async fn picture(&self, draft: Draft) -> Result<Bytes, Unmade> {
        if let Some(bytes) = self.known(&draft) {
            return Ok(bytes);
        }
        let _place = self.queue.try_acquire().map_err(|_| Unmade::Busy)?;
        let turn = timeout(PATIENCE, self.turn.clone().acquire_owned()).await;
        let turn = turn.map_err(|_| Unmade::Busy)?.map_err(|_| Unmade::Panicked)?;
        // Whoever came before may have wanted the same.
        if let Some(bytes) = self.known(&draft) {
            return Ok(bytes);
        }
        // The turn goes along: a client that leaves does not make room for a second one.
        let made = spawn_blocking(move || {
            let size = (draft.asked.width, draft.asked.height);
            let made = match draft.form {
                Form::Svg => outlined(&draft.svg, &draft.title),
                Form::Png => png(&draft.svg, size, draft.asked.colors),
            };
            drop(turn);
            made.map(|bytes| (draft, Bytes::from(bytes)))
        });
        let (draft, bytes) = made.await.map_err(|_| Unmade::Panicked)??;
        self.keep(draft, bytes.clone());
        Ok(bytes)
    }

    fn known(&self, draft: &Draft) -> Option<Bytes> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it =
            |known: &Kept| known.form == draft.form && known.asked == draft.asked && known.tag == draft.tag;
        let place = kept.iter().position(is_it)?;
        let found = kept.remove(place)?;
        let bytes = found.bytes.clone();
        kept.push_back(found);
        Some(bytes)
    }

    /// In the place of the same picture of some time ago, or of the one that was wanted longest ago.
    fn keep(&self, Draft { asked, form, tag, .. }: Draft, bytes: Bytes) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|known| known.form != form || known.asked != asked);
        while kept.len() >= KEPT {
            kept.pop_front();
        }
        kept.push_back(Kept { asked, form, tag, bytes });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(width: u32, tag: &str) -> Draft {
        let asked =
            Asked::read(|name| (name == "width").then_some(["200", "300"][width as usize % 2])).unwrap();
        let asked = Asked { height: 100 + width, ..asked };
        let svg = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"9\" height=\"9\"/>".to_owned();
        Draft { asked, form: Form::Png, svg, title: String::new(), tag: tag.to_owned() }
    }

    #[tokio::test]
    async fn a_picture_is_drawn_once_until_it_changes_and_few_are_kept() {
        let gallery = Gallery::default();
        let first = gallery.picture(draft(0, "one")).await.unwrap();
        let again = gallery.picture(draft(0, "one")).await.unwrap();
        assert_eq!(first.as_ptr(), again.as_ptr(), "it was not drawn again");
        let changed = gallery.picture(draft(0, "two")).await.unwrap();
        assert_ne!(first.as_ptr(), changed.as_ptr());
        for width in 1..40 {
            gallery.picture(draft(width, "one")).await.unwrap();
            // One that is wanted stays.
            assert_eq!(gallery.picture(draft(0, "two")).await.unwrap().as_ptr(), changed.as_ptr());
        }
        assert_eq!(gallery.kept.lock().unwrap().len(), KEPT);
    }

    #[tokio::test(start_paused = true)]
    async fn who_finds_a_long_queue_or_waits_too_long_is_sent_away() {
        let gallery = Arc::new(Gallery::default());
        let held = gallery.turn.clone().acquire_owned().await.unwrap();
        let waiting: Vec<_> = (0..=QUEUE as u32)
            .map(|width| {
                let gallery = gallery.clone();
                tokio::spawn(async move { gallery.picture(draft(width, "one")).await })
            })
            .collect();
        tokio::task::yield_now().await;
        let before = tokio::time::Instant::now();
        let refused = gallery.picture(draft(99, "one")).await;
        assert!(matches!(refused, Err(Unmade::Busy)), "{refused:?}");
        assert_eq!(before.elapsed(), Duration::ZERO, "it does not wait");
        for one in waiting {
            assert!(matches!(one.await.unwrap(), Err(Unmade::Busy)), "five seconds are over");
        }
        drop(held);
        assert!(gallery.picture(draft(99, "one")).await.is_ok());
    }
}
