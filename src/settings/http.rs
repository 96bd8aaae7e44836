//! Variables of the HTTP side → [`HttpSettings`].

use std::time::Duration;

use serde::Deserialize;

use super::load::Reader;
use super::{AllowedOrigins, HttpSettings, RateLimit, Style, TlsFiles, values};
use crate::client::TrustedProxies;

#[derive(Default, Deserialize)]
struct HttpVariables {
    pw_bind_address: Option<String>,
    pw_port: Option<String>,
    proxy_base_url: Option<String>,
    cors_origins: Option<String>,
    pw_allowed_hosts: Option<String>,
    pw_browser_cache: Option<String>,
    pw_https: Option<String>,
    pw_tls_cert: Option<String>,
    pw_tls_key: Option<String>,
    pw_style: Option<String>,
    pw_frame_ancestors: Option<String>,
    pw_rate_limit_enabled: Option<String>,
    pw_rate_limit_max_requests: Option<String>,
    pw_rate_limit_window_seconds: Option<String>,
    pw_rate_limit_max_buckets: Option<String>,
    pw_trusted_proxies: Option<String>,
    pw_ingress: Option<String>,
    pw_connections_per_address: Option<String>,
    pw_live_clients_per_address: Option<String>,
}

impl Reader {
    pub(super) fn http(&mut self) -> HttpSettings {
        let raw: HttpVariables = self.variables();
        let tls = self.tls(&raw);
        let any = std::net::IpAddr::from([0, 0, 0, 0]);
        let bind =
            self.value("PW_BIND_ADDRESS", raw.pw_bind_address, any, values::address, ToString::to_string);
        let parse_port = |text: &str| values::integer(text, 0..=65535);
        let port = self.value("PW_PORT", raw.pw_port, 8675, parse_port, ToString::to_string);
        let base_path =
            self.value("PROXY_BASE_URL", raw.proxy_base_url, String::new(), values::base_path, |path| {
                if path.is_empty() { "/".to_owned() } else { path.clone() }
            });
        let origins =
            self.value("CORS_ORIGINS", raw.cors_origins, AllowedOrigins::Any, values::origins, show_origins);
        let hosts = self.value("PW_ALLOWED_HOSTS", raw.pw_allowed_hosts, None, values::hosts, |hosts| {
            hosts.as_ref().map_or_else(|| "*".to_owned(), |hosts| hosts.join(", "))
        });
        let browser_cache = self.seconds("PW_BROWSER_CACHE", raw.pw_browser_cache, 0, 0..=31_536_000);
        let style =
            self.value("PW_STYLE", raw.pw_style, Style::default(), Style::named, |style| style.name().into());
        let frame_ancestors = self.value(
            "PW_FRAME_ANCESTORS",
            raw.pw_frame_ancestors,
            "*".to_owned(),
            values::frame_ancestors,
            String::clone,
        );
        let rate_limit = self.rate_limit([
            raw.pw_rate_limit_enabled,
            raw.pw_rate_limit_max_requests,
            raw.pw_rate_limit_window_seconds,
            raw.pw_rate_limit_max_buckets,
        ]);
        let trusted_proxies = self.value(
            "PW_TRUSTED_PROXIES",
            raw.pw_trusted_proxies,
            TrustedProxies::default(),
            values::networks,
            ToString::to_string,
        );
        let ingress = self.value(
            "PW_INGRESS",
            raw.pw_ingress,
            TrustedProxies::default(),
            values::networks,
            ToString::to_string,
        );
        let share = self.whole("PW_CONNECTIONS_PER_ADDRESS", raw.pw_connections_per_address, 256, 1_000_000);
        let live_per_address =
            self.whole("PW_LIVE_CLIENTS_PER_ADDRESS", raw.pw_live_clients_per_address, 128, 2_000);
        HttpSettings {
            bind,
            port: u16::try_from(port).unwrap_or_default(),
            base_path,
            origins,
            hosts,
            browser_cache,
            style,
            frame_ancestors,
            rate_limit,
            trusted_proxies,
            ingress,
            connections_per_address: usize::try_from(share).unwrap_or(usize::MAX),
            live_per_address: usize::try_from(live_per_address).unwrap_or(usize::MAX),
            tls,
        }
    }

    /// Whether some people read through Home Assistant.
    pub(super) fn has_ingress(&self) -> bool {
        self.variables::<HttpVariables>().pw_ingress.is_some()
    }

    /// The proxy had a third word, `http`: plain, behind something that speaks TLS. That needs nothing here.
    fn tls(&mut self, raw: &HttpVariables) -> Option<TlsFiles> {
        let parse = |text: &str| match text.to_ascii_lowercase().as_str() {
            "http" => Ok(false),
            _ => values::boolean(text).map_err(|refusal| format!("{refusal}, nor http")),
        };
        let show = |on: &bool| if *on { "yes" } else { "no" }.to_owned();
        let wanted = self.value("PW_HTTPS", raw.pw_https.clone(), false, parse, show);
        let files = [("PW_TLS_CERT", &raw.pw_tls_cert), ("PW_TLS_KEY", &raw.pw_tls_key)];
        for (name, path) in files {
            match path {
                Some(path) => self.note(name, path, true),
                None if wanted => self.problems.add(name, "missing: PW_HTTPS=yes needs a file in PEM format"),
                None => {}
            }
            if path.is_some() && !wanted {
                self.warnings.push(format!("{name} has no effect without PW_HTTPS=yes"));
            }
        }
        let (certificate, key) = (raw.pw_tls_cert.as_ref()?, raw.pw_tls_key.as_ref()?);
        wanted.then(|| TlsFiles { certificate: certificate.into(), key: key.into() })
    }

    fn rate_limit(
        &mut self,
        [is_limited, requests, seconds, clients]: [Option<String>; 4],
    ) -> Option<RateLimit> {
        let is_limited = self.boolean("PW_RATE_LIMIT_ENABLED", is_limited, false);
        let requests = self.whole("PW_RATE_LIMIT_MAX_REQUESTS", requests, 1000, 1_000_000);
        let seconds = self.whole("PW_RATE_LIMIT_WINDOW_SECONDS", seconds, 60, 86_400);
        let clients = self.whole("PW_RATE_LIMIT_MAX_BUCKETS", clients, 10_000, 1_000_000);
        is_limited.then(|| RateLimit {
            requests,
            window: Duration::from_secs(seconds),
            most_clients: usize::try_from(clients).unwrap_or(usize::MAX),
        })
    }

    /// A whole number from 1 on.
    fn whole(&mut self, name: &'static str, text: Option<String>, default: u64, most: u64) -> u64 {
        self.value(name, text, default, |text| values::integer(text, 1..=most), ToString::to_string)
    }
}

fn show_origins(origins: &AllowedOrigins) -> String {
    match origins {
        AllowedOrigins::Any => "*".to_owned(),
        AllowedOrigins::Listed(list) => list.join(", "),
    }
}
