//! How every route stands beside the servers before ours, as a page. `docs/compatibility.md` is this text; a
//! test keeps it so.

use std::fmt::Write;

use super::route::{Route, Standing};
use super::routes::{GONE, ROUTES};

const HEAD: &str = "\
# Routes, beside pypowerwall-server 0.13 and the pypowerwall proxy

Generated from the table that the program serves from, by `UPDATE_DOCS=1 cargo test --test compatibility`.

* **same**: the body, the status and the order of keys, in every state of a gateway.
* **better**: not the same, on purpose, and how.
* **partly**: something is missing, and what.
* **new**: the servers before have nothing like it.

Every route answers GET and HEAD with and without a slash at the end, whatever query follows, with a \
`Content-Length`;
lists of more than 32 gateways, and pages of them (`?limit=100&after=ID`), come in chunks as they are \
rendered.
`PW_LEGACY_ZEROS=yes` brings back zeros where this table says null or empty, for scripts that need them.

";

/// The whole page, in Markdown.
pub fn page() -> String {
    let mut page = String::from(HEAD);
    page.push_str("| path | methods | stands | how |\n|---|---|---|---|\n");
    for route in ROUTES {
        let (word, how) = standing(route);
        let methods = route.methods();
        let _ = writeln!(page, "| `{}` | {methods} | {word} | {how} |", route.path);
    }
    page.push_str("\n## Gone\n\n| path | why |\n|---|---|\n");
    for (path, why) in GONE {
        let _ = writeln!(page, "| `{path}` | {why} |");
    }
    page
}

fn standing(route: &Route) -> (&'static str, &'static str) {
    match route.standing {
        Standing::Same => ("same", ""),
        Standing::Better(how) => ("better", how),
        Standing::Partly(what) => ("partly", what),
        Standing::New => ("new", route.summary),
    }
}
