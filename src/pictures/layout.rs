//! Where the parts of the large layout lie, and whether there is room for it.

/// The width of the column of sites, and the height of one of their rows, in units.
const COLUMN: f64 = 14.0;
const ROW: f64 = 2.7;
/// What lies where. Everything is as large as the unit.
pub(super) struct Layout {
    pub width: f64,
    pub height: f64,
    pub unit: f64,
    pub is_portrait: bool,
    /// Left, top, width and height of the column or rows of sites; `None`: not a sum, or no room.
    pub sites: Option<[f64; 4]>,
    /// Where the flow ends on the right and at the bottom.
    pub right: f64,
    pub bottom: f64,
}

impl Layout {
    /// `None`: there is no room for it.
    pub fn of((width, height): (f64, f64), sites: usize) -> Option<Self> {
        let is_portrait = height > width * 1.1;
        let has_sites = sites > 1;
        let rows = if is_portrait && has_sites { (sites.min(6)) as f64 * ROW + 0.6 } else { 0.0 };
        let unit = match (is_portrait, has_sites) {
            (true, _) => (width / 30.0).min(height / (38.0 + rows)),
            (false, true) => (width / (48.0 + COLUMN)).min(height / 30.0),
            (false, false) => (width / 44.0).min(height / 30.0),
        };
        // Texts of 1.25 units can be read from 8 pixels on.
        if unit < 6.4 {
            return None;
        }
        let margin = unit;
        let sites = match (has_sites, is_portrait) {
            (false, _) => None,
            (true, true) => {
                let top = height - margin - rows * unit;
                Some([margin, top + 0.6 * unit, width - 2.0 * margin, height - margin - top - 0.6 * unit])
            }
            (true, false) => {
                let (left, top) = (width - margin - (COLUMN - 1.5) * unit, 4.0 * unit);
                Some([left, top, (COLUMN - 1.5) * unit, height - margin - top])
            }
        };
        let right = sites.filter(|_| !is_portrait).map_or(width - margin, |[left, ..]| left - 1.5 * unit);
        let bottom = sites.filter(|_| is_portrait).map_or(height - margin, |[_, top, ..]| top - 0.6 * unit);
        Some(Self { width, height, unit, is_portrait, sites, right, bottom })
    }
}
