//! What a person reads about each setting: one sentence, default and example. `docs/settings.md` and the
//! command `settings` are made of it. What a setting does is left to the rest of this room.

use std::fmt::Write;

use super::variables::{Effect, VARIABLES};

/// Settings that are looked for together.
pub struct Group {
    pub title: &'static str,
    /// Read before the settings; a paragraph of Markdown, or empty.
    pub about: &'static str,
    pub settings: &'static [Setting],
}

/// A variable, or a key of a gateway in the configuration file.
pub struct Setting {
    pub name: &'static str,
    /// One sentence, in plain words that are Markdown as well.
    pub what: &'static str,
    /// As the program shows it; empty: nothing.
    pub default: &'static str,
    /// A value that is accepted.
    pub example: &'static str,
}

const fn set(
    name: &'static str,
    what: &'static str,
    default: &'static str,
    example: &'static str,
) -> Setting {
    Setting { name, what, default, example }
}

/// Every variable that has an effect, once.
pub const GROUPS: &[Group] = &[
    Group { title: "One gateway", about: ONE_GATEWAY, settings: GATEWAY },
    Group { title: "Several gateways", about: "", settings: SEVERAL },
    Group { title: "Polling and values", about: "", settings: POLLING },
    Group { title: "Tesla's cloud (FleetAPI)", about: FLEET_ABOUT, settings: FLEET },
    Group { title: "The web server", about: "", settings: WEB },
    Group { title: "Access and control", about: ACCESS_ABOUT, settings: ACCESS },
    Group { title: "Journal and history", about: HISTORY_ABOUT, settings: HISTORY },
    Group { title: "MQTT and Home Assistant", about: "", settings: MQTT },
    Group { title: "Fleets", about: BROKER_ABOUT, settings: BROKER },
    Group { title: "Log", about: LOG_ABOUT, settings: LOG },
];

const ONE_GATEWAY: &str = "\
The table in the [README](../README.md#which-powerwall-which-password) shows which of these a Powerwall\n\
needs; [connecting.md](connecting.md) describes each way.";

const GATEWAY: &[Setting] = &[
    set("PW_HOST", "Address of the gateway, with a port if it is not 443.", "", "192.168.91.1"),
    set("PW_GW_PWD", "Gateway password, as printed on the sticker.", "", "ABCDEFGHIJ"),
    set("PW_GW_PWD_FILE", "File that holds the gateway password instead.", "", "/run/secrets/gw_pwd"),
    set(
        "PW_PASSWORD",
        "Customer password: the one the owner chose, else the last five characters of the gateway password.",
        "",
        "FGHIJ",
    ),
    set("PW_PASSWORD_FILE", "File that holds the customer password instead.", "", "/run/secrets/password"),
    set(
        "PW_EMAIL",
        "E-mail address of the customer login, which may be any. Without PW_HOST: the Tesla account.",
        "",
        "me@example.com",
    ),
    set(
        "PW_AUTH_MODE",
        "How the session of the customer login is sent: as a `cookie` or as a `token`.",
        "cookie",
        "token",
    ),
    set(
        "PW_RSA_KEY_PATH",
        "PEM file of the RSA key registered for the site (TEDAPI v1r).",
        "",
        "/auth/key.pem",
    ),
    set("PW_WIFI_HOST", "The gateway's Wi-Fi address, beside the wired one in PW_HOST.", "", "192.168.91.1"),
    set("PW_FAILOVER", "Whether Wi-Fi takes over when the wired LAN fails.", "yes", "no"),
    set(
        "PW_TEDAPI_AUTH_MODE",
        "`bearer` for inverters that require an installer login; otherwise `basic`.",
        "basic",
        "bearer",
    ),
    set(
        "PW_TEDAPI_API_VERSION",
        "Generation of the signed queries: `V2024_06` or `V2026_06`.",
        "V2024_06",
        "V2026_06",
    ),
    set(
        "PW_CERTIFICATE",
        "Which certificate of a gateway is accepted: any (`off`), the first one (`tofu`), or `sha256:…`.",
        "off",
        "tofu",
    ),
    set("PW_TIMEZONE", "Time zone of a gateway that reports none.", "", "Europe/Berlin"),
    set("PW_SITEID", "Number of the energy site in the Tesla account.", "", "1234567890"),
    set("PW_CACHE_FILE", "File for the session of a single gateway.", ".powerwall", "/auth/session.json"),
];

const SEVERAL: &[Setting] = &[
    set(
        "PW_CONFIG",
        "YAML or JSON file with the gateways; [its keys](#the-configuration-file) are below.",
        "",
        "/app/gateways.yaml",
    ),
    set(
        "PW_GATEWAYS",
        "The gateways as a JSON list, instead of a file.",
        "",
        r#"[{"id":"home","host":"192.168.91.1","gw_pwd":"ABCDEFGHIJ"}]"#,
    ),
];

const POLLING: &[Setting] = &[
    set("PW_CACHE_EXPIRE", "Seconds between two polls of a gateway.", "5 s", "10"),
    set(
        "PW_CACHE_TTL",
        "Seconds for which the last good data is served, marked as stale, while polls fail.",
        "30 s",
        "60",
    ),
    set("PW_GRACEFUL_DEGRADATION", "Whether stale data is served at all.", "yes", "no"),
    set("PW_TIMEOUT", "Seconds to wait for an answer from a gateway.", "5 s", "10"),
    set(
        "PW_AUTH_PATH",
        "Folder for what survives a restart: sessions, logins, cool-downs, certificates, unit numbers.",
        "",
        "/auth",
    ),
    set("PW_AUTHPATH", "Old name of PW_AUTH_PATH.", "", "/auth"),
    set("PW_NEG_SOLAR", "`no` counts negative solar power as load.", "yes", "no"),
    set("PW_SITE_ZERO_THRESHOLD", "Grid power of up to this many watts counts as 0.", "0 W", "50"),
    set(
        "PW_LIFETIME_ENERGY",
        "Whether lifetime energies are read beside TEDAPI, which has none.",
        "yes",
        "no",
    ),
    set(
        "PW_LEGACY_ZEROS",
        "0 instead of `null` for unknown values, for clients that cannot read it.",
        "no",
        "yes",
    ),
];

const FLEET_ABOUT: &str = "\
How to get an application or a provider's token, and what Tesla charges, is in\n\
[connecting.md](connecting.md#fleetapi-through-teslas-cloud).";

const FLEET: &[Setting] = &[
    set("PW_CLOUD_HYBRID", "Whether FleetAPI stands by for every local gateway.", "no", "yes"),
    set("PW_LOCAL_FIRST", "`no` sends orders over FleetAPI wherever it can take them.", "yes", "no"),
    set("PW_FLEET_INTERVAL", "Seconds between two requests for readings.", "60 s", "300"),
    set("PW_FLEET_BUDGET", "Most requests of one account in a day (UTC).", "none", "1500"),
    set(
        "PW_FLEET_BASE",
        "Server of a provider, or of a region of Tesla's.",
        "",
        "https://api.teslemetry.com",
    ),
    set("PW_FLEET_TOKEN", "Token of the provider.", "", "0123456789abcdef"),
    set(
        "PW_FLEET_TOKEN_FILE",
        "File that holds the provider's token instead.",
        "",
        "/run/secrets/fleet_token",
    ),
    set("PW_FLEET_AUTH", "Server that renews Tesla's tokens.", "", "https://auth.example.com"),
    set(
        "PW_OWNERS_BASE",
        "Address of the owners API, if it is not the one of Tesla that the account belongs to.",
        "",
        "https://owner-api.example.com",
    ),
    set("PW_OWNERS_AUTH", "Server that renews the tokens of the owners API.", "", "https://sso.example.com"),
    set("PW_FLEET_CA", "PEM file of authorities to trust beside those of the system.", "", "/auth/ca.pem"),
];

const WEB: &[Setting] = &[
    set("PW_PORT", "Port to listen on.", "8675", "8080"),
    set("PW_BIND_ADDRESS", "Address to listen on.", "0.0.0.0", "127.0.0.1"),
    set("PW_HTTPS", "Whether to serve HTTPS, with the two files below.", "no", "yes"),
    set("PW_TLS_CERT", "PEM file of the certificate and those that sign it.", "", "/certs/fullchain.pem"),
    set("PW_TLS_KEY", "PEM file of the certificate's private key.", "", "/certs/privkey.pem"),
    set("PROXY_BASE_URL", "Path below which everything is served as well.", "/", "/powerwall"),
    set(
        "PW_TRUSTED_PROXIES",
        "Reverse proxies whose `X-Forwarded-For` names the client: addresses or networks, with commas.",
        "",
        "172.18.0.0/16",
    ),
    set(
        "PW_INGRESS",
        "Address of Home Assistant's Supervisor, through whose ingress people read without a token.",
        "",
        "172.30.32.2",
    ),
    set("PW_ALLOWED_HOSTS", "Host names that requests may use, against DNS rebinding.", "*", "powerwall.lan"),
    set(
        "CORS_ORIGINS",
        "Origins whose pages may read, as a JSON list or with commas.",
        "*",
        "http://homeassistant.local:8123",
    ),
    set(
        "PW_STYLE",
        "Look of the page at `/` in a frame: clear, black, white, grafana, grafana-dark, dakboard or solar.",
        "clear",
        "grafana-dark",
    ),
    set(
        "PW_FRAME_ANCESTORS",
        "Who may show the pages in a frame: origins, `self`, `none` or `*`.",
        "*",
        "http://grafana.local:3000",
    ),
    set("PW_BROWSER_CACHE", "Seconds for which browsers keep scripts and pictures unasked.", "0 s", "3600"),
    set(
        "PW_CONNECTIONS_PER_ADDRESS",
        "Most connections of one address; an IPv6 client is its /64.",
        "256",
        "64",
    ),
    set(
        "PW_LIVE_CLIENTS_PER_ADDRESS",
        "Most WebSocket and event-stream clients of one address.",
        "128",
        "32",
    ),
    set("PW_RATE_LIMIT_ENABLED", "Whether the requests of each client are limited.", "no", "yes"),
    set("PW_RATE_LIMIT_MAX_REQUESTS", "Requests of one client within a window.", "1000", "600"),
    set("PW_RATE_LIMIT_WINDOW_SECONDS", "Length of the window.", "60", "30"),
    set("PW_RATE_LIMIT_MAX_BUCKETS", "Most clients that are counted at the same time.", "10000", "1000"),
];

const ACCESS_ABOUT: &str = "\
[control.md](control.md) describes roles, tokens and orders. Variables that begin with `PW_TOKEN_` or\n\
`PW_NOTIFY_` hold the secrets that the configuration file names by `secret_env`, `url_env` and\n\
`token_env`.";

const ACCESS: &[Setting] = &[
    set(
        "PW_CONTROL_SECRET",
        "The owner's token, required for control requests; 16 characters or more are best.",
        "",
        "correct-horse-battery",
    ),
    set("PW_CONTROL_SECRET_FILE", "File that holds the owner's token instead.", "", "/run/secrets/control"),
    set(
        "PW_ANONYMOUS",
        "What clients without a token may do: read (`viewer`) or nothing (`none`).",
        "viewer",
        "none",
    ),
    set(
        "PW_ISLANDING_COOLDOWN",
        "Seconds between two orders that move a gateway's contactor; 0: no pause.",
        "30 s",
        "60",
    ),
];

const HISTORY_ABOUT: &str = "\
[history.md](history.md) describes what is recorded. Durations are seconds, or a number with `s`, `m`,\n\
`h`, `d` or `w`.";

const HISTORY: &[Setting] = &[
    set(
        "PW_TIMESERIES_PATH",
        "SQLite file of journal and history; `off` keeps the journal in memory and no history.",
        "`/data/timeseries.db` if `/data` exists, else `data/timeseries.db` if that does, else off",
        "/var/lib/powerwall/timeseries.db",
    ),
    set(
        "PW_TIMESERIES_RETENTION",
        "How long the power of every poll is kept; 0: for ever, negative: not recorded.",
        "86400 s",
        "48h",
    ),
    set("PW_TIMESERIES_DAILY_RETENTION", "How long days are kept; 0: for ever.", "for ever", "520w"),
    set(
        "PW_TIMESERIES_SIGNAL_RETENTION",
        "How long single temperatures and fan speeds are kept; negative: not recorded.",
        "2592000 s",
        "7d",
    ),
    set(
        "PW_TIMESERIES_SIGNAL_INTERVAL",
        "How often temperatures, fans and energy counters are recorded; 30 s at least.",
        "60 s",
        "120s",
    ),
    set("PW_TIMESERIES_MAX_MB", "Most megabytes of the file, 16 at least; 0: no limit.", "no limit", "512"),
    set(
        "PW_EXPORT_URL",
        "VictoriaMetrics or InfluxDB that the history is sent to.",
        "none",
        "http://victoria:8428/write",
    ),
    set("PW_EXPORT_TOKEN", "Token of that database; `NAME:PASSWORD` for an InfluxDB 1.", "", "house:secret"),
    set("PW_EXPORT_TOKEN_FILE", "File that holds this token instead.", "", "/run/secrets/influx"),
    set("PW_EXPORT_POWER", "How often power is sent, 5 s to 1 h; `off`: energy only.", "off", "60s"),
    set("PW_IMPORT_PASSWORD", "Password of the InfluxDB that `import` reads.", "", "secret"),
];

const MQTT: &[Setting] = &[
    set("MQTT_HOST", "Address of the broker; without it there is no MQTT.", "(no MQTT)", "192.168.1.9"),
    set("MQTT_PORT", "Port of the broker; 8883 is usual with TLS.", "1883", "8883"),
    set("MQTT_USERNAME", "User name at the broker.", "", "powerwall"),
    set("MQTT_PASSWORD", "Password at the broker.", "", "secret"),
    set("MQTT_PASSWORD_FILE", "File that holds this password instead.", "", "/run/secrets/mqtt"),
    set("MQTT_TLS", "Whether the connection to the broker is encrypted.", "no", "yes"),
    set(
        "MQTT_TLS_CA_CERT",
        "PEM file of the only authority to trust, instead of those of the system and of Mozilla.",
        "",
        "/certs/ca.pem",
    ),
    set("MQTT_TLS_INSECURE", "`yes` accepts any certificate of the broker.", "no", "yes"),
    set("MQTT_TOPIC_PREFIX", "First part of every topic.", "pypowerwall", "house/powerwall"),
    set("MQTT_HA_DISCOVERY", "Whether entities are announced to Home Assistant.", "yes", "no"),
    set("MQTT_HA_PREFIX", "Discovery prefix of Home Assistant.", "homeassistant", "ha"),
    set("MQTT_RETAIN", "Whether the broker keeps the last values for new subscribers.", "yes", "no"),
    set("MQTT_QOS", "Quality of service: 0, 1 or 2.", "1", "0"),
    set(
        "MQTT_CLIENT_ID",
        "Name at the broker; two programs with the same one disconnect each other.",
        "pypowerwall-server",
        "powerwall-cabin",
    ),
    set("MQTT_KEEPALIVE", "Seconds between signs of life to the broker.", "60 s", "30"),
    set(
        "MQTT_LAYOUT",
        "`both` adds the topics of the ESP32 screen and the caching proxy to the `standard` ones.",
        "standard",
        "both",
    ),
    set(
        "MQTT_CONTROLS",
        "Orders accepted over the broker, a sum of 1 (reserve), 2 (mode), 4 (charging from the grid), \
         8 (export) and 16 (islanding).",
        "0",
        "3",
    ),
];

const BROKER_ABOUT: &str = "\
How instances of this program meet on a NATS server ([fleet.md](fleet.md)). The section `broker` of the file \
has the same without `PW_BROKER_`, in small letters, and wins. Images and packages have it; a build needs \
`--features broker`.";

const BROKER: &[Setting] = &[
    set(
        "PW_BROKER_URL",
        "NATS servers, `nats://` or `tls://`, separated by commas; without it there is no fleet.",
        "none",
        "tls://nats.example:4222",
    ),
    set(
        "PW_BROKER_CREDENTIALS",
        "File with the credentials: `.creds`, or the seed of an NKey.",
        "",
        "/run/secrets/site.creds",
    ),
    set(
        "PW_BROKER_CA",
        "PEM file of the only authority to trust, instead of those of the system and of Mozilla.",
        "",
        "/certs/ca.pem",
    ),
    set("PW_BROKER_PREFIX", "First level of every subject, and of the names of streams.", "powerwall", "pw"),
    set("PW_BROKER_REPLICAS", "Replicas of streams that this program makes, 1 to 5.", "1", "3"),
    set("PW_BROKER_SITE", "Report as this site: one to four levels.", "none", "north.17"),
    set("PW_BROKER_TAGS", "Tags of this site, separated by commas.", "", "rental,berlin"),
    set("PW_BROKER_GROUP", "Group that this site belongs to.", "", "Harbour"),
    set(
        "PW_BROKER_SITES",
        "Watch these sites, separated by commas: ids, or patterns; `>`: all.",
        "",
        "north.>",
    ),
    set(
        "PW_BROKER_ORDERS",
        "Which orders a site takes from the broker, and a centre sends: `no`; `yes` or `operator`: those of \
         that role; `owner`: all. Both must allow an order.",
        "no",
        "yes",
    ),
];

const LOG_ABOUT: &str = "\
`RUST_LOG` selects levels by part of the program, for example `powerwall_server::link=debug`.";

const LOG: &[Setting] = &[
    set("PW_DEBUG", "Whether to log more.", "no", "yes"),
    set("PW_LOG_FORMAT", "`json` writes one JSON object per line, for log collectors.", "plain", "json"),
];

/// The keys of an entry of `gateways`, in the file and in `PW_GATEWAYS`.
pub const GATEWAY_KEYS: &[Setting] = &[
    set("id", "Name in addresses and topics: 1 to 64 of A-Z a-z 0-9 _ -.", "required", "home"),
    set("name", "Name for people.", "the id", "Lake house"),
    set("host", "As PW_HOST.", "", "192.168.91.1"),
    set("port", "Port of the gateway.", "443", "8443"),
    set("gw_pwd", "As PW_GW_PWD.", "", "ABCDEFGHIJ"),
    set("password", "As PW_PASSWORD.", "PW_PASSWORD", "FGHIJ"),
    set("email", "As PW_EMAIL.", "", "me@example.com"),
    set("rsa_key_path", "As PW_RSA_KEY_PATH.", "", "/auth/key.pem"),
    set("wifi_host", "As PW_WIFI_HOST.", "", "192.168.91.1"),
    set("tedapi_auth_mode", "As PW_TEDAPI_AUTH_MODE.", "PW_TEDAPI_AUTH_MODE", "bearer"),
    set("tedapi_api_version", "As PW_TEDAPI_API_VERSION.", "PW_TEDAPI_API_VERSION", "V2026_06"),
    set("certificate", "As PW_CERTIFICATE.", "PW_CERTIFICATE", "tofu"),
    set("timeout", "As PW_TIMEOUT, in seconds.", "PW_TIMEOUT", "10"),
    set("timezone", "As PW_TIMEZONE.", "PW_TIMEZONE", "Europe/Berlin"),
    set("type", "`inverter` for solar without a battery; otherwise `powerwall`.", "powerwall", "inverter"),
    set("authpath", "As PW_AUTH_PATH.", "PW_AUTH_PATH", "/auth/lake"),
    set("lifetime_energy", "As PW_LIFETIME_ENERGY.", "PW_LIFETIME_ENERGY", "false"),
    set(
        "standby",
        "Up to three more ways to the same gateway, each with the keys of its own \
         ([connecting.md](connecting.md#standby-several-links-to-one-gateway)).",
        "",
        "[{host: 192.168.91.1, gw_pwd: ABCDEFGHIJ}]",
    ),
    set("fleetapi", "Whether the gateway is reached over FleetAPI.", "false", "true"),
    set(
        "relay",
        "Whether the gateway is asked over v1r through Tesla's cloud, every `interval` of 300 s or more; \
         needs `rsa_key_path`.",
        "false",
        "true",
    ),
    set("siteid", "As PW_SITEID; `site_id` is the same.", "", "1234567890"),
    set("site_id", "The same as `siteid`.", "", "1234567890"),
    set("fleet_base", "As PW_FLEET_BASE.", "PW_FLEET_BASE", "https://api.tessie.com"),
    set("fleet_token", "As PW_FLEET_TOKEN.", "PW_FLEET_TOKEN", "0123456789abcdef"),
    set("interval", "As PW_FLEET_INTERVAL, for a gateway over FleetAPI.", "PW_FLEET_INTERVAL", "300"),
    set(
        "cloud_mode",
        "Selects the owners API, which Tesla may end any day; FleetAPI lasts.",
        "false",
        "true",
    ),
    set(
        "from",
        "`broker`: another instance reports it; `site` says which ([fleet.md](fleet.md)).",
        "",
        "broker",
    ),
    set("site", "With `from`: id of that instance at the broker.", "required", "north.17"),
    set("gateway", "With `from`: id of the gateway there.", "the id", "home"),
    set("tags", "What gateways of a fleet are sorted by, a list.", "", "[rental, berlin]"),
    set("group", "Whose it is, or where.", "", "Harbour"),
];

const INTRODUCTION: &str = "\
# Settings

Made from the program's own table by `UPDATE_DOCS=1 cargo test --test variables`; `powerwall-server
settings` prints the same, and `powerwall-server check-config` what counts at present and where it comes
from.

For the gateways, a file given by `--config` or `PW_CONFIG` wins over `PW_GATEWAYS`, which wins over the
variables of a single gateway. For any other setting, a flag (`--port 80`) wins over the file's `server`
section, which wins over the environment. An empty variable counts as unset. A wrong value ends the
start with the reason; an unknown `PW_…` or `MQTT_…` variable is reported with the name that was
probably meant.
";

const THE_FILE: &str = "
## The configuration file

`PW_CONFIG` names a YAML or JSON file; [gateways.example.yaml](../config/gateways.example.yaml) is one
to start from. It may contain

- `gateways`: a list, with the keys below for each gateway;
- `server`: `host`, `port` and `cors_origins`, which win over `PW_BIND_ADDRESS`, `PW_PORT` and
  `CORS_ORIGINS`;
- `anonymous`: as `PW_ANONYMOUS`;
- `tokens` and `notify`: who may do what, and who is notified ([control.md](control.md));
- `tariff`: what energy costs ([history.md](history.md#costs));
- `broker`: as the variables under [Fleets](#fleets).

Text needs no quotes, `<<` merges, and a key that occurs twice is an error.
";

const WITHOUT_EFFECT: &str = "
## Without effect

Variables of pypowerwall-server and the proxy that are recognised, so that old compose files keep
working, and change nothing here. The log names each once, with the reason.

| variable | why |
|---|---|
";

/// `docs/settings.md`.
pub fn page() -> String {
    let mut page = INTRODUCTION.to_owned();
    for group in GROUPS {
        let _ = write!(page, "\n## {}\n\n", group.title);
        if !group.about.is_empty() {
            let _ = write!(page, "{}\n\n", group.about);
        }
        table(&mut page, "variable", group.settings);
    }
    page.push_str(THE_FILE);
    page.push('\n');
    table(&mut page, "key", GATEWAY_KEYS);
    page.push_str(WITHOUT_EFFECT);
    for (name, effect) in VARIABLES {
        if let Effect::None(why) = effect {
            let _ = writeln!(page, "| `{name}` | {why} |");
        }
    }
    page
}

fn table(page: &mut String, what: &str, settings: &[Setting]) {
    let _ = writeln!(page, "| {what} | meaning | default | example |\n|---|---|---|---|");
    for Setting { name, what, default, example } in settings {
        let _ =
            writeln!(page, "| `{name}` | {} | {default} | `{}` |", code(what), example.replace('|', "\\|"));
    }
}

/// The sentence with the variables in it set as code.
fn code(what: &str) -> String {
    let is_name = |word: &str| word.len() > 3 && (word.starts_with("PW_") || word.starts_with("MQTT_"));
    let set = |word: &str| {
        let name = word.trim_end_matches(['.', ',', ';', ':']);
        if is_name(name) { format!("`{name}`{}", &word[name.len()..]) } else { word.to_owned() }
    };
    what.split(' ').map(set).collect::<Vec<_>>().join(" ")
}

/// The variables whose name or sentence has `wanted` in it, for a terminal; `None`: there are none.
pub fn listing(wanted: &str) -> Option<String> {
    let wanted = wanted.to_ascii_lowercase();
    let has = |setting: &&Setting| {
        let texts = [setting.name, setting.what];
        texts.iter().any(|text| text.to_ascii_lowercase().contains(&wanted))
    };
    let mut listing = String::new();
    for group in GROUPS {
        let found: Vec<&Setting> = group.settings.iter().filter(has).collect();
        if !found.is_empty() {
            let _ = writeln!(listing, "{}{}\n", if listing.is_empty() { "" } else { "\n" }, group.title);
        }
        for Setting { name, what, default, example } in found {
            let default = if default.is_empty() { "none" } else { default };
            let plain = |text: &str| text.replace('`', "");
            let _ = writeln!(listing, "  {name}={example}\n      {}", plain(&without_links(what)));
            let _ = writeln!(listing, "      Default: {}", plain(default));
        }
    }
    (!listing.is_empty()).then_some(listing)
}

/// `[words](address)` as `words`.
fn without_links(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, link)) = rest.split_once('[') {
        let Some((words, after)) = link.split_once("](") else { break };
        let Some((_, after)) = after.split_once(')') else { break };
        plain.push_str(before);
        plain.push_str(words);
        rest = after;
    }
    plain + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::gateways::{KEYS, OUR_KEYS};

    #[test]
    fn every_key_of_a_gateway_is_explained() {
        let mut explained: Vec<&str> = GATEWAY_KEYS.iter().map(|setting| setting.name).collect();
        let mut known: Vec<&str> = KEYS.iter().chain(&OUR_KEYS).copied().collect();
        explained.sort_unstable();
        known.sort_unstable();
        assert_eq!(explained, known);
    }

    #[test]
    fn a_listing_is_plain_text_and_finds_by_word() {
        let found = listing("rsa").unwrap();
        assert!(found.contains("PW_RSA_KEY_PATH=/auth/key.pem\n"), "{found}");
        assert!(!found.contains("PW_PORT"), "{found}");
        let all = listing("").unwrap();
        assert!(!all.contains(['`', '[']) || all.contains("PW_GATEWAYS=["), "{all}");
        assert!(!all.contains("]("), "{all}");
        assert_eq!(listing("nonsense"), None);
    }
}
