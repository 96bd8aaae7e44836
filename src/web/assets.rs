//! The pages and the files they are made of: embedded in the program, compressed once, never sent twice.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write;
use std::sync::OnceLock;

use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::web::{Data, Path, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use flate2::Compression;
use ring::digest::{SHA256, digest};
use rust_embed::{EmbeddedFile, RustEmbed};

use super::State;
use super::compression::{gzip, takes_gzip};
use super::plumbing::{get, knows, not_found};
use crate::settings::HttpSettings;

#[derive(RustEmbed)]
#[folder = "static/"]
struct Files;

/// The page at `/` on a wall. Not a file: it is `index.html` that knows.
const KIOSK: &str = "kiosk";
/// Where the pages say what the settings decide.
const STYLE: &str = r#"data-style="clear""#;
const NO_KIOSK: &str = r#"data-kiosk="no""#;

/// A page keeps no way into another one that it opens, nor that one into it, whatever their origins. Browsers
/// heed it over HTTPS and on this machine.
const ALONE: (HeaderName, HeaderValue) = (
    HeaderName::from_static("cross-origin-opener-policy"),
    HeaderValue::from_static("noopener-allow-popups"),
);
/// No text becomes markup or a script: not even a script of ours can make a policy that would let it.
pub(super) const TRUSTED_TYPES: &str = "require-trusted-types-for 'script'; trusted-types 'none'";

/// What is served below `/static/`, and the pages.
pub(super) struct Assets {
    by_path: HashMap<Cow<'static, str>, Asset>,
    /// Nothing from elsewhere and nothing inline; who may show it in a frame is a setting.
    policy: HeaderValue,
    /// Of everything that is not a page.
    cache_control: HeaderValue,
}

struct Asset {
    content_type: HeaderValue,
    bytes: Bytes,
    /// Made when it is first wanted; `None` if it does not get smaller.
    compressed: OnceLock<Option<Bytes>>,
    /// Of the content, in hexadecimal; the two encodings have entity tags of their own.
    hash: String,
    /// Pages are asked for anew, so that an update of the program arrives.
    is_page: bool,
}

impl Assets {
    pub fn new(http: &HttpSettings) -> Self {
        let style = format!(r#"data-style="{}""#, http.style.name());
        let mut by_path = HashMap::new();
        for path in Files::iter() {
            let Some(file) = Files::get(&path) else { continue };
            let mut bytes = lean(&path, content(file));
            if path.ends_with(".html") {
                let page = String::from_utf8_lossy(&bytes).replace(STYLE, &style);
                if path == "index.html" {
                    let kiosk = page.replace(NO_KIOSK, r#"data-kiosk="yes""#);
                    by_path.insert(KIOSK.into(), Asset::new("kiosk.html", kiosk.into()));
                }
                bytes = page.into();
            }
            let asset = Asset::new(&path, bytes);
            by_path.insert(path, asset);
        }
        let policy = format!(
            "default-src 'self'; script-src 'self'; style-src 'self'; object-src 'none'; base-uri 'none'; \
             form-action 'none'; {TRUSTED_TYPES}; frame-ancestors {}",
            http.frame_ancestors
        );
        let seconds = http.browser_cache.as_secs();
        let cache_control = if seconds == 0 { "no-cache".to_owned() } else { format!("max-age={seconds}") };
        Self { by_path, policy: value(policy), cache_control: value(cache_control) }
    }
}

/// Texts of ours and validated settings; should one not fit into a header all the same, the strictest is
/// sent.
fn value(text: String) -> HeaderValue {
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("default-src 'none'"))
}

fn content(file: EmbeddedFile) -> Bytes {
    match file.data {
        Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        Cow::Owned(bytes) => bytes.into(),
    }
}

/// A script or style sheet of ours without the lines that are comments: a sixth of what a page would weigh.
/// The lines stay, empty, so that an error in a browser names the line of the source.
fn lean(path: &str, bytes: Bytes) -> Bytes {
    if !(path.ends_with(".js") || path.ends_with(".css")) || path.starts_with("vendor/") {
        return bytes;
    }
    let Ok(text) = std::str::from_utf8(&bytes) else { return bytes };
    let mut is_within = false;
    let mut lean = String::with_capacity(text.len());
    for line in text.lines() {
        let words = line.trim();
        let begins = !is_within && words.starts_with("/*");
        // What goes on behind a comment is no line of it.
        let is_comment =
            is_within || words.starts_with("//") || begins && !words.trim_end_matches("*/").contains("*/");
        is_within = (is_within || begins) && !words.ends_with("*/");
        lean.push_str(if is_comment { "" } else { line });
        lean.push('\n');
    }
    lean.into()
}

impl Asset {
    fn new(path: &str, bytes: Bytes) -> Self {
        let mut hash = String::new();
        for byte in &digest(&SHA256, &bytes).as_ref()[..12] {
            let _ = write!(hash, "{byte:02x}");
        }
        let is_page = path.ends_with(".html");
        Self { content_type: content_type(path), bytes, compressed: OnceLock::new(), hash, is_page }
    }

    fn compressed(&self) -> Option<&Bytes> {
        let made = self.compressed.get_or_init(|| {
            gzip(&self.bytes, Compression::best()).ok().filter(|small| small.len() < self.bytes.len())
        });
        made.as_ref()
    }
}

pub(super) fn routes(config: &mut ServiceConfig) {
    config.service(get("/static/{file:.*}", file));
}

pub(super) fn index(state: &State, request: &HttpRequest) -> HttpResponse {
    serve(state, request, "index.html")
}

pub(super) fn kiosk(state: &State, request: &HttpRequest) -> HttpResponse {
    below_the_root(state, request, KIOSK, KIOSK)
}

pub(super) fn console(state: &State, request: &HttpRequest) -> HttpResponse {
    below_the_root(state, request, "console", "console.html")
}

pub(super) fn history(state: &State, request: &HttpRequest) -> HttpResponse {
    below_the_root(state, request, "history", "history.html")
}

pub(super) fn fleet(state: &State, request: &HttpRequest) -> HttpResponse {
    below_the_root(state, request, "fleet", "fleet.html")
}

pub(super) fn example(state: &State, request: &HttpRequest) -> HttpResponse {
    below_the_root(state, request, "example", "example.html")
}

pub(super) fn favicon(state: &State, request: &HttpRequest) -> HttpResponse {
    serve(state, request, "favicon.ico")
}

pub(super) fn favicon_16(state: &State, request: &HttpRequest) -> HttpResponse {
    serve(state, request, "favicon-16x16.png")
}

pub(super) fn favicon_32(state: &State, request: &HttpRequest) -> HttpResponse {
    serve(state, request, "favicon-32x32.png")
}

async fn file(state: Data<State>, request: HttpRequest, path: Path<String>) -> HttpResponse {
    state.table.count("/static/{file}");
    serve(&state, &request, &path)
}

/// Addresses in pages are relative, so that they hold behind any proxy; with a slash at its end a page would
/// look for its files in the wrong place.
fn below_the_root(state: &State, request: &HttpRequest, name: &str, path: &str) -> HttpResponse {
    if !request.path().ends_with('/') {
        return serve(state, request, path);
    }
    let query = request.query_string();
    let mark = if query.is_empty() { "" } else { "?" };
    HttpResponse::PermanentRedirect()
        .insert_header((header::LOCATION, format!("../{name}{mark}{query}")))
        .finish()
}

fn serve(state: &State, request: &HttpRequest, path: &str) -> HttpResponse {
    let Some(asset) = state.assets.by_path.get(path) else { return not_found() };
    let compressed = if takes_gzip(request.headers()) { asset.compressed() } else { None };
    let ending = if compressed.is_some() { "-gz" } else { "" };
    let tag = format!("\"{}{ending}\"", asset.hash);
    let is_known = knows(request, &tag);
    let mut response = if is_known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    let cache_control = match asset.is_page {
        true => HeaderValue::from_static("no-cache"),
        false => state.assets.cache_control.clone(),
    };
    response
        .insert_header((header::ETAG, tag))
        .insert_header((header::CACHE_CONTROL, cache_control))
        .insert_header((header::VARY, "Accept-Encoding"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::CONTENT_SECURITY_POLICY, state.assets.policy.clone()))
        .insert_header((header::REFERRER_POLICY, "no-referrer"));
    if asset.is_page {
        response.insert_header(ALONE);
    }
    if is_known {
        return response.finish();
    }
    response.insert_header((header::CONTENT_TYPE, asset.content_type.clone()));
    match compressed {
        Some(small) => response.insert_header((header::CONTENT_ENCODING, "gzip")).body(small.clone()),
        None => response.body(asset.bytes.clone()),
    }
}

fn content_type(path: &str) -> HeaderValue {
    HeaderValue::from_static(match path.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("txt") => "text/plain; charset=utf-8",
        Some("webmanifest") => "application/manifest+json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("woff2") => "font/woff2",
        _ => "application/octet-stream",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The files below `static/` that `text` names as its parts: in a page by `static/…`, else beside it.
    fn parts(path: &str, text: &str) -> Vec<String> {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let named = match path.rsplit('.').next() {
            Some("html") => text.split('"').filter_map(|word| word.strip_prefix("static/")).collect(),
            // Also of what is loaded later.
            Some("js") => {
                text.split('"').filter(|word| word.starts_with('.') && word.ends_with(".js")).collect()
            }
            Some("css") => text.split("url(\"").skip(1).filter_map(|rest| rest.split('"').next()).collect(),
            _ => Vec::new(),
        };
        let is_page = path.ends_with(".html");
        let whole = |word: &str| {
            let mut steps: Vec<&str> = if is_page { Vec::new() } else { folder.split('/').collect() };
            for step in word.split('/') {
                match step {
                    "." => {}
                    ".." => drop(steps.pop()),
                    step => steps.push(step),
                }
            }
            steps.retain(|step| !step.is_empty());
            steps.join("/")
        };
        named.into_iter().map(whole).collect()
    }

    /// Everything that a browser could load for a page, compressed where that helps.
    fn weight(page: &str) -> usize {
        let (mut open, mut seen) = (vec![page.to_owned()], std::collections::BTreeSet::new());
        let mut sum = 0;
        while let Some(path) = open.pop() {
            if !seen.insert(path.clone()) {
                continue;
            }
            let file = Files::get(&path).unwrap_or_else(|| panic!("{path} is named, and not there"));
            let asset = Asset::new(&path, lean(&path, content(file)));
            sum += asset.compressed().unwrap_or(&asset.bytes).len();
            open.extend(parts(&path, &String::from_utf8_lossy(&asset.bytes)));
        }
        assert!(seen.len() > 10, "{page} has parts: {seen:?}");
        sum + tables(page).iter().map(|folder| largest(folder)).sum::<usize>()
    }

    /// The folders of which a page loads the table of one language.
    fn tables(page: &str) -> Vec<String> {
        let text = content(Files::get(page).unwrap());
        let text = String::from_utf8_lossy(&text);
        let tag = text.split("<html").nth(1).and_then(|rest| rest.split('>').next()).unwrap();
        let Some((_, rest)) = tag.split_once("data-translated") else { return Vec::new() };
        let more = rest.strip_prefix("=\"").and_then(|rest| rest.split('"').next()).unwrap_or_default();
        let more = more.split_whitespace().map(|name| format!("words/{name}/"));
        std::iter::once("words/".to_owned()).chain(more).collect()
    }

    /// The largest file of `folder`.
    fn largest(folder: &str) -> usize {
        let here = |path: &str| path.strip_prefix(folder).is_some_and(|name| !name.contains('/'));
        let size = |path: &str| {
            let asset = Asset::new(path, lean(path, content(Files::get(path).unwrap())));
            asset.compressed().unwrap_or(&asset.bytes).len()
        };
        Files::iter().filter(|path| here(path)).map(|path| size(&path)).max().expect("a table")
    }

    #[test]
    fn comments_of_whole_lines_are_left_out_and_nothing_else() {
        let source =
            "// A room.\n\nconst a = \"// b\"; // c\n  /** One. */\nfn();\n/**\n * More.\n */\nend();\n";
        let sent = lean("a.js", Bytes::from_static(source.as_bytes()));
        assert_eq!(sent, "\n\nconst a = \"// b\"; // c\n\nfn();\n\n\n\nend();\n");
        assert_eq!(lean("a.css", Bytes::from_static(b"/* a */ b {}\n/* c */\n")), "/* a */ b {}\n\n");
        assert_eq!(lean("a.html", Bytes::from_static(b"// a\n")), "// a\n");
    }

    #[test]
    fn every_page_weighs_less_than_100_kilobytes() {
        for page in ["index.html", "console.html", "history.html", "fleet.html"] {
            let bytes = weight(page);
            assert!((50_000..100_000).contains(&bytes), "{page}: {bytes} bytes");
        }
    }
}
