//! `check-config`: the settings as they count, and where each comes from. Secrets are masked.

use std::fmt::Write;

use crate::model::{Place, mode_name};
use crate::settings::{
    AuthMode, BrokerSettings, CertificatePolicy, FleetConfig, GatewaySettings, LinkConfig, Origin, QuerySet,
    Role, Settings, TedapiConfig, TokenSource,
};

/// The report on valid settings.
pub fn report(settings: &Settings) -> String {
    let mut report = String::new();
    let widest = settings.effective.iter().map(|effective| effective.name.len()).max().unwrap_or(0);
    for effective in &settings.effective {
        let (name, value, source) = (effective.name, &effective.value, &effective.source);
        let _ = writeln!(report, "{name:widest$} = {value}  ({source})");
    }
    for gateway in &settings.gateways {
        let _ = writeln!(report, "\n{}", describe(gateway));
    }
    if let Some(broker) = &settings.broker {
        let _ = writeln!(report, "\n{}", describe_broker(broker));
    }
    for warning in &settings.warnings {
        let _ = writeln!(report, "\nwarning: {warning}");
    }
    report
}

fn describe_broker(broker: &BrokerSettings) -> String {
    let mut text = format!("broker {}, everything below {}\n", broker.name(), broker.prefix);
    let identity = match &broker.credentials {
        Some(file) => format!("credentials in {}", file.display()),
        None => "no credentials file".to_owned(),
    };
    let trust = match &broker.authority {
        Some(file) => format!("authority in {}", file.display()),
        None => "the usual authorities".to_owned(),
    };
    let _ = writeln!(text, "  {identity}, {trust}");
    if let Some(site) = &broker.site {
        let orders = orders(broker.orders, "takes");
        let _ = writeln!(text, "  reports as site {}, {orders} from the broker", site.id);
    }
    if !broker.watched.is_empty() {
        let orders = orders(broker.orders, "sends");
        let _ = writeln!(text, "  watches the sites {}, {orders}", broker.watched.join(", "));
    }
    text.truncate(text.trim_end().len());
    text
}

fn orders(role: Option<Role>, does: &str) -> String {
    match role {
        None => format!("{does} no orders"),
        Some(role) => format!("{does} orders of the role {}", role.word()),
    }
}

fn describe(gateway: &GatewaySettings) -> String {
    let facts = &gateway.facts;
    let mut text = format!("gateway {} ({})\n", facts.id, facts.name);
    let _ = writeln!(text, "  mode {}: {}", mode_name(&facts.links), facts.reason);
    match &gateway.link {
        LinkConfig::Tedapi(config) => describe_tedapi(&mut text, "TEDAPI", config),
        LinkConfig::Bearer(config) => describe_tedapi(&mut text, "TEDAPI with an installer login", config),
        LinkConfig::V1r(config) => {
            let (host, port, key) = (&config.host, config.port, &config.key);
            let queries = name_of(config.query_set);
            let _ = writeln!(text, "  TEDAPI v1r at {host}:{port}, password **********, queries {queries}");
            let _ = writeln!(text, "  RSA key with {} bits, fingerprint {}", key.bits(), key.fingerprint());
            let _ = writeln!(text, "  certificate: {}", accepted(&config.certificate));
            if let Some(wifi) = &config.wifi {
                let role = match config.failover {
                    true => "for followers, and as standby:",
                    false => "for followers only (PW_FAILOVER=no):",
                };
                describe_tedapi(&mut text, &format!("{role} TEDAPI"), wifi);
            }
        }
        LinkConfig::Local(config) => {
            let (host, port) = (&config.host, config.port);
            let session = match config.auth_mode {
                AuthMode::Cookie => "cookies",
                AuthMode::Token => "token",
            };
            let _ =
                writeln!(text, "  customer API at {host}:{port}, password **********, session by {session}");
            let _ = writeln!(text, "  certificate: {}", accepted(&config.certificate));
        }
        LinkConfig::Fleet(config) => describe_fleet(&mut text, config.kind().name(), config),
        LinkConfig::Broker(config) => {
            let Place { gateway, site } = &config.place;
            let _ = writeln!(text, "  gateway {gateway} of site {site}, {}", orders(config.orders, "sends"));
        }
        LinkConfig::Relay(config) => {
            describe_fleet(&mut text, "the relay of FleetAPI", &config.fleet);
            let key = &config.key;
            let _ = writeln!(text, "  RSA key with {} bits, fingerprint {}", key.bits(), key.fingerprint());
        }
        LinkConfig::Unsupported(kind) => {
            let _ = writeln!(text, "  {}: not supported by this version", kind.name());
        }
    }
    if let Some(file) = &gateway.state_file {
        let _ = writeln!(text, "  session, logins and cool-downs kept in {}", file.display());
    }
    if gateway.energies.is_some() {
        let _ = writeln!(text, "  lifetime energies from its customer API, every two minutes");
    }
    let _ = write!(text, "  timeout {} s", gateway.timeout.as_secs());
    text
}

fn describe_fleet(text: &mut String, what: &str, config: &FleetConfig) {
    let account = &config.account;
    let base = account.base.as_ref().map_or("the region of the account".to_owned(), Origin::to_string);
    let token = match &account.source {
        TokenSource::Pasted(_) => "token **********".to_owned(),
        TokenSource::File(file) | TokenSource::Owners { file, .. } => {
            format!("tokens in {}", file.display())
        }
    };
    let seconds = config.interval.as_secs();
    let _ = writeln!(text, "  {what} at {base}, {token}, every {seconds} s");
    if let Some(ledger) = &account.ledger {
        let _ = writeln!(text, "  requests and cool-downs kept in {}", ledger.display());
    }
}

fn describe_tedapi(text: &mut String, what: &str, config: &TedapiConfig) {
    let (host, port, queries) = (&config.host, config.port, name_of(config.query_set));
    let _ = writeln!(text, "  {what} at {host}:{port}, password **********, queries {queries}");
    let _ = writeln!(text, "  certificate: {}", accepted(&config.certificate));
}

fn name_of(queries: QuerySet) -> &'static str {
    match queries {
        QuerySet::V2024_06 => "V2024_06",
        QuerySet::V2026_06 => "V2026_06",
    }
}

fn accepted(certificate: &CertificatePolicy) -> &'static str {
    match certificate {
        CertificatePolicy::Off => "any",
        CertificatePolicy::TrustOnFirstUse { .. } => "the first one seen",
        CertificatePolicy::Pinned(_) => "the pinned one",
    }
}
