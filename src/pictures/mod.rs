//! Pictures of the present state for displays that run no browser, drawn from one SVG template for all
//! forms, sizes and colours. Routes, parameters as text and the history are left to the web output.

mod asked;
mod dither;
mod doing;
mod gallery;
mod known;
mod large;
mod layout;
mod marks;
mod palette;
mod pen;
mod raster;
mod ribbons;
mod scene;
mod small;
mod tank;
mod template;
mod tiles;
mod widths;
mod words;

pub use asked::{Asked, Colors, MOST_PIXELS, Refused, Theme, Turn};
pub use gallery::{Draft, Form, Gallery, Unmade};
pub use known::Today;
pub use raster::Undrawn;
pub use scene::{Sight, SimulatedClock};
pub use words::Language;
