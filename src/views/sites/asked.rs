//! Which sites somebody asks for, and in what order.

use super::row::{Row, TroubleKind};

/// Words that are searched for.
pub const MOST_WORDS: usize = 8;
/// Tags that are asked for; no site has more.
pub const MOST_TAGS: usize = 16;
/// Sites of one answer, unless the client says so itself.
pub const USUAL: usize = 100;
/// And at most.
pub const MOST: usize = 500;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// By what is the matter with them.
    #[default]
    Worst,
    Name,
    /// The emptiest first.
    Charge,
    /// The oldest first.
    Firmware,
    /// The longest trouble first.
    Since,
}

impl Sort {
    pub const ALL: [Self; 5] = [Self::Worst, Self::Name, Self::Charge, Self::Firmware, Self::Since];

    pub fn word(self) -> &'static str {
        match self {
            Self::Worst => "worst",
            Self::Name => "name",
            Self::Charge => "charge",
            Self::Firmware => "firmware",
            Self::Since => "since",
        }
    }
}

/// A question. The default is everything, the worst first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// In small letters; all of them occur in what the site is called, wears and runs.
    pub words: Vec<String>,
    /// All of them.
    pub tags: Vec<String>,
    /// `Some("")`: sites without a group.
    pub group: Option<String>,
    pub trouble: Option<TroubleKind>,
    pub sort: Sort,
    pub limit: usize,
    pub offset: usize,
}

impl Default for Asked {
    fn default() -> Self {
        Self {
            words: Vec::new(),
            tags: Vec::new(),
            group: None,
            trouble: None,
            sort: Sort::default(),
            limit: USUAL,
            offset: 0,
        }
    }
}

impl Asked {
    pub fn searching(self, text: &str) -> Self {
        let words = text.split_whitespace().take(MOST_WORDS).map(str::to_lowercase).collect();
        Self { words, ..self }
    }

    /// Whether `row` is meant, whatever its troubles are.
    pub fn matches(&self, row: &Row) -> bool {
        let labels = &row.facts.labels;
        self.tags.iter().all(|tag| labels.tags.contains(tag))
            && self.group.as_ref().is_none_or(|group| labels.group.as_deref().unwrap_or_default() == group)
            && self.words.iter().all(|word| row.text.contains(word))
    }
}
