//! What subjects, streams and the bucket are called. `docs/fleet.md` has the same table, and the permissions
//! of `config/nats` hold sites to their own.

/// The names below one prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subjects {
    prefix: String,
}

impl Subjects {
    pub fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned() }
    }

    /// The bucket with the newest report of each gateway.
    pub fn bucket(&self) -> String {
        format!("{}_sites", self.prefix)
    }

    /// Where a report is put, as the bucket has it.
    pub fn report(&self, site: &str, gateway: &str) -> String {
        format!("$KV.{}.{site}.{gateway}", self.bucket())
    }

    /// The key pattern of the gateways of the sites that `pattern` names.
    pub fn keys_of(pattern: &str) -> String {
        match pattern.ends_with('>') {
            true => pattern.to_owned(),
            false => format!("{pattern}.*"),
        }
    }

    /// Site and gateway of a key.
    pub fn of_key(key: &str) -> Option<(&str, &str)> {
        key.rsplit_once('.').filter(|(site, gateway)| !site.is_empty() && !gateway.is_empty())
    }

    /// The stream of quarters of an hour.
    pub fn slots_stream(&self) -> String {
        format!("{}_slots", self.prefix)
    }

    pub fn slots(&self, site: &str, gateway: &str) -> String {
        format!("{}.slots.{site}.{gateway}", self.prefix)
    }

    pub fn all_slots(&self) -> String {
        format!("{}.slots.>", self.prefix)
    }

    /// Of the gateways of the sites that `pattern` names.
    pub fn slots_of(&self, pattern: &str) -> String {
        format!("{}.slots.{}", self.prefix, Self::keys_of(pattern))
    }

    /// Site and gateway of a subject of slots.
    pub fn of_slots<'a>(&self, subject: &'a str) -> Option<(&'a str, &'a str)> {
        let rest = subject.strip_prefix(self.prefix.as_str())?.strip_prefix(".slots.")?;
        Self::of_key(rest)
    }

    /// The stream of what happened.
    pub fn journal_stream(&self) -> String {
        format!("{}_journal", self.prefix)
    }

    /// All gateways of a site have one subject, so that their entries stay in order.
    pub fn journal(&self, site: &str) -> String {
        format!("{}.journal.{site}", self.prefix)
    }

    /// The site of a subject of a journal.
    pub fn of_journal<'a>(&self, subject: &'a str) -> Option<&'a str> {
        subject.strip_prefix(self.prefix.as_str())?.strip_prefix(".journal.").filter(|site| !site.is_empty())
    }

    pub fn all_journals(&self) -> String {
        format!("{}.journal.>", self.prefix)
    }

    /// Where the orders to a gateway are asked for.
    pub fn orders(&self, site: &str, gateway: &str) -> String {
        format!("{}.orders.{site}.{gateway}", self.prefix)
    }

    /// Of all gateways of a site.
    pub fn orders_of(&self, site: &str) -> String {
        format!("{}.orders.{site}.*", self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_level_is_the_gateway_and_the_rest_the_site() {
        let subjects = Subjects::new("pw");
        assert_eq!(subjects.report("north.17", "home"), "$KV.pw_sites.north.17.home");
        assert_eq!(Subjects::of_key("north.17.home"), Some(("north.17", "home")));
        assert_eq!(Subjects::of_key("home"), None);
        assert_eq!(subjects.of_slots(&subjects.slots("a.b", "g")), Some(("a.b", "g")));
        assert_eq!(subjects.of_slots("other.slots.a.g"), None);
        assert_eq!(subjects.of_journal(&subjects.journal("a.b")), Some("a.b"));
        assert_eq!(Subjects::keys_of("north.>"), "north.>");
        assert_eq!(Subjects::keys_of("north.17"), "north.17.*");
    }
}
