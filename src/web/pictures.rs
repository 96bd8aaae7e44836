//! `/display.svg` and `/display.png`: parameters, entity tags, and the energies of today for
//! [`crate::pictures`], which draws.

#[cfg(feature = "pictures")]
mod shown;
#[cfg(feature = "pictures")]
mod today;

use actix_web::HttpRequest;
use actix_web::web::Data;

use super::State;
use super::route::Later;

pub(super) const PARAMETERS: &[(&str, &str)] = &[
    ("width", "pixels of the display; 800 if absent. Width times height is at most 2 megapixels"),
    ("height", "pixels of the display; 480 if absent"),
    ("colors", "2, 4 or 16 greys for e-ink, or full (if absent)"),
    ("rotate", "0, 90, 180 or 270 degrees clockwise; width and height stay those of the display"),
    ("theme", "dark or light; light if absent and colors is not full"),
    ("site", "id of a gateway; all together if absent"),
    ("lang", "en, de, fr, es, it or nl; en if absent"),
];
pub(super) const ERRORS: &[(u16, &str)] = &[
    (400, "A parameter is not valid, or the picture would be larger than 2 megapixels"),
    (404, "There is no such gateway"),
    (501, "This program was built without pictures"),
    (503, "Too many wait for a picture; Retry-After says when again"),
];

#[cfg(feature = "pictures")]
pub(super) use shown::Pictures;

/// Pictures that cannot be made.
#[cfg(not(feature = "pictures"))]
#[derive(Default)]
pub(super) struct Pictures {}

pub(super) fn svg(state: Data<State>, request: HttpRequest) -> Later {
    #[cfg(feature = "pictures")]
    return shown::answer(state, request, crate::pictures::Form::Svg);
    #[cfg(not(feature = "pictures"))]
    unable(&state, &request)
}

pub(super) fn png(state: Data<State>, request: HttpRequest) -> Later {
    #[cfg(feature = "pictures")]
    return shown::answer(state, request, crate::pictures::Form::Png);
    #[cfg(not(feature = "pictures"))]
    unable(&state, &request)
}

#[cfg(not(feature = "pictures"))]
fn unable(_: &State, _: &HttpRequest) -> Later {
    let why = "this program was built without pictures: build it with --features pictures";
    let refusal = super::plumbing::Refusal::new(actix_web::http::StatusCode::NOT_IMPLEMENTED, why);
    Box::pin(futures_util::future::ready(refusal.answer()))
}
