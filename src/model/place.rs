//! Where a gateway is reported that another instance of this program reads.

/// One gateway of one site.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// The id of the site at the broker, such as `north.17`: the broker vouches for it.
    pub site: String,
    /// The id of the gateway there.
    pub gateway: String,
}

impl Place {
    /// What a gateway is called that nobody named here: `north.17` and `home` are `north-17-home`.
    pub fn id(&self) -> String {
        format!("{}-{}", self.site.replace('.', "-"), self.gateway)
    }
}
