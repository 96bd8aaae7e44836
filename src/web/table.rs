//! Finds routes by path and counts how often each was asked for.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};

use super::route::{Answer, Route};
use super::routes::ROUTES;

/// The routes, each with its counter.
pub(super) struct Table {
    by_path: HashMap<&'static str, (&'static Route, AtomicU64)>,
}

impl Default for Table {
    fn default() -> Self {
        Self { by_path: ROUTES.iter().map(|route| (route.path, (route, AtomicU64::new(0)))).collect() }
    }
}

impl Table {
    /// All routes, in the order of the table.
    pub fn routes(&self) -> &'static [Route] {
        ROUTES
    }

    /// The route with a fixed path at `path`; a slash at the end makes no difference.
    pub fn find(&self, path: &str) -> Option<&'static Route> {
        let (route, _) = self.by_path.get(without_slash(path))?;
        (!matches!(route.answer, Answer::Routed)).then_some(*route)
    }

    /// The methods at `path`, if the table has it as it is; also where actix-web finds the route.
    pub fn methods(&self, path: &str) -> Option<&'static str> {
        self.by_path.get(without_slash(path)).map(|(route, _)| route.methods())
    }

    pub fn count(&self, path: &str) {
        if let Some((_, asked)) = self.by_path.get(path) {
            asked.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How often each route was asked for that was asked for at all.
    pub fn counts(&self) -> BTreeMap<&'static str, u64> {
        let counts = self.by_path.iter().map(|(path, (_, asked))| (*path, asked.load(Ordering::Relaxed)));
        counts.filter(|(_, asked)| *asked > 0).collect()
    }

    pub fn clear(&self) {
        self.by_path.values().for_each(|(_, asked)| asked.store(0, Ordering::Relaxed));
    }
}

fn without_slash(path: &str) -> &str {
    path.strip_suffix('/').filter(|short| !short.is_empty()).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_is_there_twice_and_none_ends_in_a_slash() {
        assert_eq!(Table::default().by_path.len(), ROUTES.len());
        for route in ROUTES {
            assert_eq!(without_slash(route.path), route.path);
            assert!(!route.summary.is_empty());
        }
    }
}
