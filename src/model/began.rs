//! Since when what is the matter with a gateway has been so, as who watches it saw it begin.

/// Unix seconds; `None`: it is not so, or nobody saw it begin.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Began {
    /// The home is cut off from the grid.
    pub cut_off: Option<f64>,
    /// The oldest alert that is a warning.
    pub alert: Option<f64>,
}
