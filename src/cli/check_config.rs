//! `check-config`: the settings as they count, and where each comes from. Secrets are masked.

use std::fmt::Write;

use super::NO_GATEWAYS;
use crate::settings::{Access, AuthMode, CertificatePolicy, GatewaySettings, QuerySet, Settings};

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
    if settings.gateways.is_empty() {
        let _ = writeln!(report, "\n{NO_GATEWAYS}");
    }
    for warning in &settings.warnings {
        let _ = writeln!(report, "\nwarning: {warning}");
    }
    report
}

fn describe(gateway: &GatewaySettings) -> String {
    let facts = &gateway.facts;
    let mut text = format!("gateway {} ({})\n", facts.id, facts.name);
    match &gateway.access {
        Access::Tedapi(access) => {
            let queries = match access.query_set {
                QuerySet::V2024_06 => "V2024_06",
                QuerySet::V2026_06 => "V2026_06",
            };
            let (host, port) = (&access.host, access.port);
            let _ = writeln!(text, "  TEDAPI at {host}:{port}, password **********, queries {queries}");
            let _ = writeln!(text, "  certificate: {}", certificate(&access.certificate));
        }
        Access::Local(access) => {
            let (host, port) = (&access.host, access.port);
            let session = match access.auth_mode {
                AuthMode::Cookie => "cookies",
                AuthMode::Token => "token",
            };
            let _ =
                writeln!(text, "  customer API at {host}:{port}, password **********, session by {session}");
            let _ = writeln!(text, "  certificate: {}", certificate(&access.certificate));
        }
        Access::Unsupported(kind) => {
            let _ = writeln!(text, "  {}: not supported by this version", kind.name());
        }
    }
    if let Some(file) = &gateway.state_file {
        let _ = writeln!(text, "  session, logins and silences kept in {}", file.display());
    }
    let _ = write!(text, "  timeout {} s", gateway.timeout.as_secs());
    text
}

fn certificate(policy: &CertificatePolicy) -> &'static str {
    match policy {
        CertificatePolicy::Off => "any",
        CertificatePolicy::TrustOnFirstUse { .. } => "the first one seen",
        CertificatePolicy::Pinned(_) => "the pinned one",
    }
}
