//! Firmware that can be compared.

use std::cmp::Ordering;

/// `25.10.1` of `25.10.1 3f7cb6de`; what is behind the number says nothing about age.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Version(Vec<u32>);

impl Version {
    /// `None`: it is no number.
    pub fn of(text: &str) -> Option<Self> {
        let numbers = text.split_whitespace().next()?.split('.');
        let numbers: Option<Vec<u32>> = numbers.take(6).map(|number| number.parse().ok()).collect();
        let mut numbers = numbers?;
        // 25.10 is 25.10.0.
        while numbers.last() == Some(&0) {
            numbers.pop();
        }
        Some(Self(numbers))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.cmp(&other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_numbers_and_not_letters() {
        let version = |text| Version::of(text).unwrap();
        assert!(version("23.44.0 eb113390") < version("25.2.1"));
        assert!(version("25.9.9") < version("25.10.1 3f7cb6de"));
        assert_eq!(version("25.10 a"), version("25.10.0 b"));
        for none in ["", "unknown", "25.x", "25..1"] {
            assert_eq!(Version::of(none), None, "{none}");
        }
    }
}
