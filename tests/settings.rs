//! Settings from every source: what counts, which wins, and what is said about mistakes.

use std::io::Write;
use std::time::Duration;

use clap::Parser;
use powerwall_server::cli::{Cli, check_config};
use powerwall_server::model::{LinkKind, mode_name};
use powerwall_server::settings::{
    AllowedOrigins, AuthMode, BrokerTls, CertificatePolicy, Inputs, Layout, LinkConfig, MqttSettings,
    QuerySet, Secret, Settings, TokenSource,
};
use proptest::prelude::*;

fn load(environment: &[(&str, &str)]) -> Result<Settings, String> {
    with_flags(environment, &[])
}

fn with_flags(environment: &[(&str, &str)], flags: &[&str]) -> Result<Settings, String> {
    let cli = Cli::parse_from(std::iter::once("powerwall-server").chain(flags.iter().copied()));
    let environment = environment.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
    Settings::load(&cli.flags.inputs(environment)).map_err(|problems| problems.to_string())
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

#[test]
fn one_gateway_from_the_environment() {
    let settings =
        load(&[("PW_HOST", " 192.168.91.1:8443 # the gateway"), ("PW_GW_PWD", "SEC #RET")]).unwrap();
    let gateway = &settings.gateways[0];
    assert_eq!((gateway.facts.id.as_str(), gateway.facts.name.as_str()), ("default", "Default Gateway"));
    assert_eq!(gateway.timeout, Duration::from_secs(5));
    let LinkConfig::Tedapi(config) = &gateway.link else { panic!("{:?}", gateway.link) };
    assert_eq!((config.host.as_str(), config.port), ("192.168.91.1", 8443));
    assert_eq!(config.password.expose(), "SEC #RET", "a secret may contain what looks like a comment");
    assert_eq!((config.query_set, &config.certificate), (QuerySet::V2024_06, &CertificatePolicy::Off));
    assert_eq!(settings.http.port, 8675);
    assert_eq!(settings.http.origins, AllowedOrigins::Any);
    assert!(settings.polling.adjustments.keep_negative_solar);
}

#[test]
fn nothing_configured_is_no_mistake() {
    assert!(load(&[]).unwrap().gateways.is_empty());
    assert!(load(&[("PW_HOST", "  "), ("PW_PORT", ""), ("PW_DEBUG", " # off")]).unwrap().gateways.is_empty());
    assert!(load(&[("PORT", "1"), ("HOST", "x"), ("GATEWAYS", "[")]).unwrap().gateways.is_empty());
}

#[test]
fn booleans_are_read_as_either_server_read_them() {
    for (text, expected) in
        [("yes", true), ("TRUE", true), ("on", true), ("1", true), ("y", true), ("t", true)]
            .into_iter()
            .chain([
                ("no", false),
                ("False", false),
                ("off", false),
                ("0", false),
                ("n", false),
                ("F", false),
            ])
    {
        let settings = load(&[("PW_NEG_SOLAR", text)]).unwrap();
        assert_eq!(settings.polling.adjustments.keep_negative_solar, expected, "{text}");
    }
}

#[test]
fn a_flag_wins_over_the_file_the_file_over_the_list_and_the_list_over_the_single_gateway() {
    let list = r#"[{"id":"from-list","host":"10.0.0.2","gw_pwd":"x"}]"#;
    let single = ("PW_HOST", "10.0.0.1");
    let password = ("PW_GW_PWD", "x");
    let file = file("server: {port: 7000}\ngateways: [{id: from-file, host: 10.0.0.3, gw_pwd: x}]");
    let path = file.path().to_str().unwrap();
    let id = |settings: &Settings| settings.gateways[0].facts.id.clone();

    assert_eq!(id(&load(&[single, password]).unwrap()), "default");
    assert_eq!(id(&load(&[single, password, ("PW_GATEWAYS", list)]).unwrap()), "from-list");
    let all = [single, password, ("PW_GATEWAYS", list), ("PW_CONFIG", path), ("PW_PORT", "6000")];
    let settings = load(&all).unwrap();
    assert_eq!((id(&settings).as_str(), settings.http.port), ("from-file", 7000));
    assert_eq!(with_flags(&all, &["--port", "8000"]).unwrap().http.port, 8000);
    assert_eq!(id(&with_flags(&all[..3], &["--config", path]).unwrap()), "from-file");
    assert!(load(&[single, password, ("PW_GATEWAYS", "[]")]).unwrap().gateways.is_empty());
}

#[test]
fn the_example_file_is_valid() {
    let settings = load(&[("PW_CONFIG", "config/gateways.example.yaml")]).unwrap();
    let ids: Vec<_> = settings.gateways.iter().map(|gateway| gateway.facts.id.as_str()).collect();
    assert_eq!(ids, ["home", "cabin", "barn"]);
    assert_eq!(settings.gateways[1].timeout, Duration::from_secs(10));
    assert!(settings.warnings.is_empty(), "{:?}", settings.warnings);
}

#[test]
fn a_host_and_the_customer_password_mean_the_customer_api() {
    let local = |environment: &[(&str, &str)]| {
        let gateway = load(environment).unwrap().gateways.remove(0);
        match gateway.link {
            LinkConfig::Local(config) => (config, gateway.state_file.unwrap().display().to_string()),
            other => panic!("{other:?}"),
        }
    };
    let single = [("PW_HOST", "10.42.1.40"), ("PW_PASSWORD", "abc#1")];
    let (config, file) = local(&single);
    assert_eq!((config.host.as_str(), config.port, config.password.expose()), ("10.42.1.40", 443, "abc#1"));
    assert_eq!((config.email.as_str(), config.auth_mode), ("email@example.com", AuthMode::Cookie));
    assert_eq!(file, ".powerwall", "where the servers before ours look");
    assert_eq!(local(&[single[0], single[1], ("PW_AUTH_PATH", "/a")]).1, "/a/.powerwall");
    let all = [("PW_AUTH_PATH", "/a"), ("PW_CACHE_FILE", "/b/session"), ("PW_AUTH_MODE", "Token")];
    let more = [("PW_EMAIL", "me@example.org"), ("PW_TIMEZONE", "Europe/Berlin")];
    let (config, file) = local(&[&single[..], &all, &more].concat());
    assert_eq!((config.auth_mode, file.as_str()), (AuthMode::Token, "/b/session"));
    assert_eq!((config.email.as_str(), config.timezone.as_str()), ("me@example.org", "Europe/Berlin"));

    let list = (
        "PW_GATEWAYS",
        r#"[{"id":"a","host":"h","password":"p"},{"id":"b","host":"i","password":"p","authpath":"/c"}]"#,
    );
    let settings = load(&[list, ("PW_CACHE_FILE", "/b/session")]).unwrap();
    let files: Vec<_> = settings.gateways.iter().map(|gateway| gateway.state_file.clone().unwrap()).collect();
    assert_eq!(
        files,
        [".powerwall-server.a.json", "/c/.powerwall-server.b.json"].map(std::path::PathBuf::from)
    );
    let report = check_config::report(&load(&single).unwrap());
    assert!(report.contains("customer API at 10.42.1.40:443") && !report.contains("abc#1"), "{report}");
    assert!(
        load(&[single[0], single[1], ("PW_AUTH_MODE", "presence")]).unwrap_err().contains("cookie nor token")
    );

    let tedapi = load(&[("PW_HOST", "h"), ("PW_GW_PWD", "p")]).unwrap().gateways.remove(0);
    assert_eq!(tedapi.state_file, None, "nothing is written where nobody asked for it");
}

#[test]
fn a_link_that_tesla_may_end_any_day_is_announced_as_one() {
    let settings = load(&[("PW_GATEWAYS", r#"[{"id":"a","email":"a@b.c"}]"#)]).unwrap();
    assert_eq!(settings.gateways[0].link.kind(), LinkKind::Cloud);
    assert!(settings.warnings.concat().contains("any day"), "{:?}", settings.warnings);
}

#[test]
fn fleetapi_needs_tokens_from_a_file_or_from_a_provider() {
    let fleet = |keys: &str, variables: &[(&str, &str)]| {
        let list = format!(r#"[{{"id":"a",{keys}}}]"#);
        let variables = [&[("PW_GATEWAYS", list.as_str()), ("PW_AUTH_PATH", "/auth")], variables].concat();
        load(&variables).map(|mut settings| match settings.gateways.remove(0).link {
            LinkConfig::Fleet(config) => (config, settings.warnings),
            other => panic!("{other:?}"),
        })
    };
    let (config, warnings) = fleet(r#""fleetapi":true,"siteid":"12 ""#, &[]).unwrap();
    assert_eq!(config.account.source, TokenSource::File("/auth/.pypowerwall.fleetapi".into()));
    assert_eq!((config.site, config.interval.as_secs(), warnings.len()), (Some(12), 60, 0));
    assert_eq!(config.account.base, None);

    let keys = r#""fleet_base":"https://api.tessie.com","fleet_token":"t","interval":30"#;
    let (config, warnings) = fleet(keys, &[("PW_FLEET_BUDGET", "500")]).unwrap();
    assert_eq!(config.account.source, TokenSource::Pasted(Secret::new("t")));
    assert_eq!((config.account.budget, config.interval.as_secs(), warnings.len()), (Some(500), 30, 1));

    let refused = |keys: &str| fleet(keys, &[]).unwrap_err();
    assert!(refused(r#""fleet_token":"secret~t""#).contains("fleet_base: missing"));
    assert!(!refused(r#""fleet_token":"secret~t""#).contains("secret~t"));
    assert!(refused(r#""fleetapi":true,"siteid":"home""#).contains("siteid: expected the number"));
    assert!(refused(r#""fleetapi":true,"fleet_base":"http://x""#).contains("https://"));
}

#[test]
fn without_a_host_the_token_file_decides_and_hybrid_puts_the_cloud_behind_a_local_gateway() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    assert!(load(&[("PW_AUTH_PATH", path)]).unwrap().gateways.is_empty());
    std::fs::write(folder.path().join(".pypowerwall.fleetapi"), "{}").unwrap();
    let settings = load(&[("PW_AUTH_PATH", path), ("PW_SITEID", "7")]).unwrap();
    assert_eq!(settings.gateways[0].link.kind(), LinkKind::FleetApi);

    let local = [("PW_AUTH_PATH", path), ("PW_HOST", "h"), ("PW_GW_PWD", "p"), ("PW_CLOUD_HYBRID", "yes")];
    let gateway = load(&local).unwrap().gateways.remove(0);
    assert_eq!(mode_name(&gateway.facts.links), "tedapi+fleet_api");
    assert_eq!(gateway.standby.len(), 1);
}

const KEY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/v1r/key-4096.pem");

#[test]
fn a_key_makes_v1r_with_and_without_wifi() {
    let v1r = |keys: &str, variables: &[(&str, &str)]| {
        let list = format!(r#"[{{"id":"a","host":"10.42.1.5","rsa_key_path":"{KEY}",{keys}}}]"#);
        let settings = load(&[&[("PW_GATEWAYS", list.as_str())], variables].concat()).unwrap();
        let facts = settings.gateways[0].facts.clone();
        assert!(facts.rsa_key_configured && facts.expects_tedapi() && !facts.may_be_basic_lan);
        match settings.gateways[0].link.clone() {
            LinkConfig::V1r(config) => (config, settings, mode_name(&facts.links)),
            other => panic!("{other:?}"),
        }
    };
    let (config, settings, mode) = v1r(r#""gw_pwd":"ABCDEFGHIJ","wifi_host":"192.168.91.1:8443""#, &[]);
    assert_eq!((&*mode, settings.warnings.len()), ("v1r+wifi", 0));
    assert_eq!((config.password.expose(), config.failover), ("FGHIJ", true));
    let wifi = config.wifi.unwrap();
    assert_eq!((wifi.password.expose(), wifi.port), ("ABCDEFGHIJ", 8443));
    let report = check_config::report(&settings);
    for part in
        ["mode v1r+wifi: there is a key", "RSA key with 4096 bits, fingerprint ", "and as standby: TEDAPI"]
    {
        assert!(report.contains(part), "{report}\n≠ {part}");
    }
    assert!(!report.contains("FGHIJ"));

    let (config, settings, mode) = v1r(r#""gw_pwd":"ABCDEFGHIJ","password":"OWNER""#, &[]);
    assert_eq!((&*mode, config.password.expose(), config.wifi), ("v1r", "OWNER", None));
    assert!(settings.warnings[0].contains("stay unseen"), "{:?}", settings.warnings);

    let (config, settings, _) = v1r(
        r#""password":"OWNER","wifi_host":"w""#,
        &[("PW_FAILOVER", "no"), ("PW_TEDAPI_AUTH_MODE", "bearer")],
    );
    assert!(!config.failover);
    assert!(settings.warnings.concat().contains("without gw_pwd"), "{:?}", settings.warnings);
}

#[test]
fn a_key_that_cannot_sign_stops_the_start_and_names_its_variable() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/v1r");
    for (name, expected) in
        [("ec.pem", "not RSA"), ("encrypted.pem", "is encrypted"), ("public.pem", "public key")]
    {
        let path = format!("{folder}/{name}");
        let single = [("PW_HOST", "h"), ("PW_GW_PWD", "ABCDEFGHIJ"), ("PW_RSA_KEY_PATH", path.as_str())];
        let problems = load(&single).unwrap_err();
        assert!(problems.starts_with("PW_RSA_KEY_PATH: ") && problems.contains(expected), "{problems}");
        assert_eq!(problems.lines().count(), 1, "{problems}");
        let list = format!(r#"[{{"id":"a","host":"h","gw_pwd":"x","rsa_key_path":"{path}"}}]"#);
        let problems = load(&[("PW_GATEWAYS", &list)]).unwrap_err();
        assert!(problems.starts_with("PW_GATEWAYS[0].rsa_key_path: "), "{problems}");
    }
    let single = [("PW_HOST", "h"), ("PW_RSA_KEY_PATH", KEY)];
    assert!(load(&single).unwrap_err().starts_with("PW_GW_PWD: missing: PW_RSA_KEY_PATH (v1r)"));
}

#[test]
fn an_installer_login_is_chosen_by_name_and_asks_the_newer_queries() {
    let bearer = |variables: &[(&str, &str)]| {
        let settings = load(&[&[("PW_HOST", "h"), ("PW_GW_PWD", "p")], variables].concat())?;
        match settings.gateways[0].link.clone() {
            LinkConfig::Bearer(config) => Ok((config.query_set, settings.warnings.len())),
            other => Err(format!("{other:?}")),
        }
    };
    let mode = ("PW_TEDAPI_AUTH_MODE", "Bearer");
    assert_eq!(bearer(&[mode]), Ok((QuerySet::V2026_06, 0)));
    assert_eq!(bearer(&[mode, ("PW_TEDAPI_API_VERSION", "V2024_06")]), Ok((QuerySet::V2024_06, 1)));
    let odd = bearer(&[("PW_TEDAPI_AUTH_MODE", "presence")]).unwrap_err();
    assert!(odd.starts_with(r#"PW_TEDAPI_AUTH_MODE: "presence" is neither basic nor bearer"#), "{odd}");
    let both = bearer(&[mode, ("PW_RSA_KEY_PATH", KEY)]).unwrap_err();
    assert!(both.starts_with("PW_TEDAPI_AUTH_MODE: bearer and"), "{both}");
    assert!(bearer(&[("PW_TEDAPI_AUTH_MODE", "basic")]).unwrap_err().starts_with("Tedapi"));
}

/// Variables as they are set, and what the report must then say.
type MistakeCase<'a> = (Vec<(&'a str, &'a str)>, &'a [&'a str]);

#[test]
fn every_mistake_is_named_with_its_place_and_what_would_be_right() {
    let gateways = |text: &'static str| vec![("PW_GATEWAYS", text)];
    let cases: Vec<MistakeCase> = vec![
        (vec![("PW_PORT", "99999")], &["PW_PORT: \"99999\" is not a whole number in 0..65535"]),
        (vec![("PW_CACHE_EXPIRE", "0")], &["PW_CACHE_EXPIRE: \"0\" is not a whole number in 1..3600"]),
        (vec![("PW_CACHE_EXPIRE", "-1")], &["PW_CACHE_EXPIRE"]),
        (vec![("PW_TIMEOUT", "2.5")], &["PW_TIMEOUT: \"2.5\""]),
        (vec![("PW_DEBUG", "maybe")], &["PW_DEBUG: \"maybe\" is neither yes/true"]),
        (vec![("PW_BIND_ADDRESS", "here")], &["PW_BIND_ADDRESS: \"here\" is not an address"]),
        (vec![("PW_STYLE", "<script>")], &["PW_STYLE: \"<script>\" is none of clear, black"]),
        (
            vec![("PW_FRAME_ANCESTORS", "self http://a; script-src *")],
            &["PW_FRAME_ANCESTORS: \"http://a;\" is not"],
        ),
        (vec![("CORS_ORIGINS", "[1]")], &["CORS_ORIGINS: not a JSON list of texts"]),
        (vec![("CORS_ORIGINS", "example.com")], &["CORS_ORIGINS: \"example.com\" is not an origin"]),
        (vec![("PROXY_BASE_URL", "http://x y")], &["PROXY_BASE_URL"]),
        (
            vec![("PW_CACHE_EXPIER", "5")],
            &["PW_CACHE_EXPIER: unknown variable; did you mean PW_CACHE_EXPIRE?"],
        ),
        (vec![("PW_TIMEZONE", "Mars/Olympus")], &["PW_TIMEZONE: \"Mars/Olympus\" is not a time zone"]),
        (
            vec![("PW_TEDAPI_API_VERSION", "2024")],
            &["PW_TEDAPI_API_VERSION: \"2024\" is neither V2024_06 nor V2026_06"],
        ),
        (vec![("PW_CERTIFICATE", "sha256:12")], &["PW_CERTIFICATE"]),
        (vec![("PW_HOST", "192.168.91.1")], &["PW_GW_PWD: missing"]),
        (vec![("PW_HOST", "a b"), ("PW_GW_PWD", "x")], &["PW_HOST: \"a b\" is not a host"]),
        (vec![("PW_HOST", "[::1]junk"), ("PW_GW_PWD", "x")], &["PW_HOST: \"[::1]junk\" is not a host"]),
        (vec![("PW_HOST", "[home]:443"), ("PW_GW_PWD", "x")], &["PW_HOST: \"[home]:443\" is not a host"]),
        (vec![("PW_HOST", "a:b:c"), ("PW_GW_PWD", "x")], &["PW_HOST: \"a:b:c\" is not a host"]),
        (vec![("PW_GW_PWD_FILE", "/no/such/file")], &["PW_GW_PWD_FILE: \"/no/such/file\" cannot be read"]),
        (vec![("PW_CONFIG", "/no/such/file")], &["PW_CONFIG: \"/no/such/file\" cannot be read"]),
        (gateways("[{\"id\": \"a\",\n }"), &["PW_GATEWAYS: not valid JSON at line 2 column 2"]),
        (gateways("{}"), &["PW_GATEWAYS: expected an array of objects"]),
        (gateways("[1]"), &["PW_GATEWAYS[0]: expected an object"]),
        (gateways(r#"[{"host":"h","gw_pwd":"x"}]"#), &["PW_GATEWAYS[0].id: missing"]),
        (gateways(r#"[{"id":7,"host":"h","gw_pwd":"x"}]"#), &["PW_GATEWAYS[0].id: expected a text"]),
        (
            gateways(r#"[{"id":"a/b","host":"h","gw_pwd":"x"}]"#),
            &["PW_GATEWAYS[0].id: \"a/b\" is not 1 to 64"],
        ),
        (
            gateways(r#"[{"id":"a","host":"h","gwpwd":"SECRET"}]"#),
            &["PW_GATEWAYS[0].gwpwd: unknown key; did you mean gw_pwd?", "PW_GATEWAYS[0].gw_pwd: missing"],
        ),
        (
            gateways(
                r#"[{"id":"a","host":"h","gw_pwd":"x"},{"id":"b","host":"h","gw_pwd":"x","port":99999}]"#,
            ),
            &["PW_GATEWAYS[1].port: \"99999\" is not a whole number in 1..65535"],
        ),
        (
            gateways(r#"[{"id":"a","host":"h","gw_pwd":"x"},{"id":"a","host":"i","gw_pwd":"x"}]"#),
            &["PW_GATEWAYS[1].id: \"a\" is already the id of entry [0]"],
        ),
        (gateways(r#"[{"id":"a"}]"#), &["PW_GATEWAYS[0].host: missing"]),
        (gateways(r#"[{"id":"a","host":"h:1","port":2,"gw_pwd":"x"}]"#), &["PW_GATEWAYS[0].port: differs"]),
        (
            gateways(r#"[{"id":"a","host":"h","gw_pwd":"x","type":"windmill"}]"#),
            &["PW_GATEWAYS[0].type: \"windmill\""],
        ),
        (gateways(r#"[{"id":"a","host":"h","gw_pwd":"x","timezone":"X"}]"#), &["PW_GATEWAYS[0].timezone"]),
        (
            gateways(r#"[{"id":"a","host":"h","gw_pwd":"x","cloud_mode":3}]"#),
            &["PW_GATEWAYS[0].cloud_mode: expected true"],
        ),
        (gateways(r#"[{"id":"a","host":"h","gw_pwd":{}}]"#), &["PW_GATEWAYS[0].gw_pwd: expected a text"]),
        (
            gateways(r#"[{"id":"a","host":"h","gw_pwd":"x","rsa_key_path":"/no/key"}]"#),
            &["PW_GATEWAYS[0].rsa_key_path: \"/no/key\" cannot be read"],
        ),
    ];
    for (environment, expected) in cases {
        let problems = load(&environment).expect_err(&format!("{environment:?} must be refused"));
        for line in expected {
            assert!(
                problems.lines().any(|problem| problem.starts_with(line)),
                "{environment:?}:\n{problems}\n≠ {line}"
            );
        }
        assert!(!problems.contains("SECRET"), "{problems}");
    }
}

#[test]
fn mistakes_in_a_file_are_named_by_file_and_key() {
    let cases = [
        ("gateways: [", "not valid YAML or JSON"),
        ("- a", "expected a mapping"),
        ("gateway: []", "gateway: unknown key; did you mean gateways?"),
        ("server: {prot: 1}\ngateways: []", "server.prot: unknown key"),
        ("server: {port: 0}\ngateways: []", "server.port: \"0\" is not a whole number in 1..65535"),
        ("gateways: [{id: a, host: h, gw_pwd: x, hots: y}]", "gateways[0].hots: unknown key"),
    ];
    for (text, expected) in cases {
        let file = file(text);
        let name = file.path().file_name().unwrap().to_str().unwrap().to_owned();
        let problems = load(&[("PW_CONFIG", file.path().to_str().unwrap())]).unwrap_err();
        let found = problems.lines().any(|line| line.starts_with(&name) && line.contains(expected));
        assert!(found, "{text:?}:\n{problems}\n≠ {expected}");
    }
}

#[test]
fn all_mistakes_come_at_once() {
    let environment = [("PW_PORT", "x"), ("PW_DEBUG", "y!"), ("PW_GATEWAYS", r#"[{"id":"a"},{"id":"?"}]"#)];
    let problems = load(&environment).unwrap_err();
    assert!(problems.lines().count() >= 5, "{problems}");
}

#[test]
fn what_changes_nothing_is_said_once() {
    let settings =
        load(&[("PW_FAIL_FAST", "yes"), ("CONTROL_TOKEN", "hidden"), ("PW_WEATHER", "x")]).unwrap();
    assert_eq!(settings.warnings.len(), 3, "{:?}", settings.warnings);
    assert!(!settings.warnings.concat().contains("hidden"));
    let settings =
        load(&[("PW_AUTHPATH", "/a"), ("PW_HOST", "h"), ("PW_GW_PWD", "x"), ("PW_CERTIFICATE", "tofu")])
            .unwrap();
    let LinkConfig::Tedapi(config) = &settings.gateways[0].link else { panic!() };
    let CertificatePolicy::TrustOnFirstUse { store: Some(store), .. } = &config.certificate else { panic!() };
    assert!(store.starts_with("/a"));
}

#[test]
fn the_report_says_what_counts_and_where_it_comes_from() {
    let list = r#"[{"id":"home","host":"10.0.0.2","gw_pwd":"VERYSECRET","certificate":"tofu"}]"#;
    let settings = with_flags(&[("PW_GATEWAYS", list), ("PW_CACHE_TTL", "60")], &["--port", "9000"]).unwrap();
    let report = check_config::report(&settings);
    for line in [
        "= 9000  (--port)",
        "= 60 s  (environment)",
        "= 5 s  (default)",
        "gateway home (home)",
        "10.0.0.2:443",
    ] {
        assert!(report.contains(line), "{report}\n≠ {line}");
    }
    assert!(!report.contains("VERYSECRET"));
}

proptest! {
    /// Whatever else is wrong, a secret is in no output.
    #[test]
    fn no_output_ever_holds_a_secret(secret in "[A-Z]{9}[0-9]{3}", mistake in 0..6_usize) {
        let mistakes =
            ["", r#","prot":1"#, r#","port":0"#, r#","type":[]"#, r#"x"#, r#","pasword":"SECRET""#];
        let odd = mistakes[mistake].replace("SECRET", &secret);
        let list = format!(r#"[{{"id":"a","host":"h","gw_pwd":"{secret}","password":"{secret}"{odd}}}]"#);
        let environment = [
            ("PW_GATEWAYS", list.as_str()), ("PW_PASSWORD", &secret), ("PW_CONTROL_SECRET", &secret),
            ("MQTT_PASSWORD", &secret),
        ];
        let output = match load(&environment) {
            Ok(settings) => format!("{settings:?}\n{}", check_config::report(&settings)),
            Err(problems) => problems,
        };
        prop_assert!(!output.contains(&secret), "{output}");
    }
}

#[test]
fn inputs_are_the_only_source() {
    assert_eq!(Settings::load(&Inputs::default()).unwrap().http.port, 8675);
}

const BROKER: (&str, &str) = ("MQTT_HOST", "broker.lan");

#[test]
fn mqtt_is_off_without_a_host_and_as_before_with_one() {
    assert_eq!(load(&[]).unwrap().mqtt, MqttSettings::default());
    let mqtt = load(&[BROKER]).unwrap().mqtt;
    assert_eq!(mqtt, MqttSettings { host: Some("broker.lan".into()), ..MqttSettings::default() });
    assert_eq!((mqtt.port, mqtt.qos, mqtt.retain, mqtt.discovery), (1883, 1, true, true));
    let mqtt = load(&[
        ("MQTT_HOST", "broker.lan:8883"),
        ("MQTT_TOPIC_PREFIX", "house/powerwall/"),
        ("MQTT_LAYOUT", "Both"),
        ("MQTT_TLS", "yes"),
    ])
    .unwrap()
    .mqtt;
    assert_eq!((mqtt.port, mqtt.prefix.as_str(), mqtt.layout), (8883, "house/powerwall", Layout::Both));
    assert_eq!(mqtt.tls, Some(BrokerTls::default()));
}

#[test]
fn the_password_for_the_broker_may_be_in_a_file() {
    let password = file("canary\n");
    let path = password.path().display().to_string();
    let settings = load(&[BROKER, ("MQTT_USERNAME", "house"), ("MQTT_PASSWORD_FILE", &path)]).unwrap();
    assert_eq!(settings.mqtt.password.as_ref().unwrap().expose(), "canary");
    assert!(settings.warnings.is_empty(), "{:?}", settings.warnings);
    let shown = format!("{settings:?}") + &check_config::report(&settings);
    assert!(!shown.contains("canary"), "{shown}");
}

#[test]
fn mistakes_about_the_broker_are_named() {
    let not_pem = file("hello\n");
    let path = not_pem.path().display().to_string();
    for (name, text, expected) in [
        ("MQTT_HOST", "mqtt://broker.lan", "a name or number of a machine"),
        ("MQTT_PORT", "0", "not a whole number in 1..65535"),
        ("MQTT_QOS", "9", "not a whole number in 0..2"),
        ("MQTT_KEEPALIVE", "1", "not a whole number in 5..65535"),
        ("MQTT_TOPIC_PREFIX", "house/+", "without + and #"),
        ("MQTT_HA_PREFIX", "a//b", "without + and #"),
        ("MQTT_LAYOUT", "all", "neither standard nor both"),
        ("MQTT_TLS_CA_CERT", "/nowhere/authority.pem", "cannot be read"),
        ("MQTT_TLS_CA_CERT", &path, "holds no certificate"),
        ("MQTT_PASWORD", "x", "did you mean MQTT_PASSWORD?"),
    ] {
        let problems = load(&[BROKER, (name, text)][usize::from(name == BROKER.0)..]).unwrap_err();
        assert!(problems.starts_with(name) && problems.contains(expected), "{problems}");
    }
    let ports = load(&[("MQTT_HOST", "broker.lan:1884"), ("MQTT_PORT", "1885")]).unwrap_err();
    assert!(ports.contains("differs from the port in MQTT_HOST"), "{ports}");
    let list = r#"[{"id":"battery","host":"10.0.0.2","gw_pwd":"x"}]"#;
    let taken = load(&[BROKER, ("MQTT_LAYOUT", "both"), ("PW_GATEWAYS", list)]).unwrap_err();
    assert!(taken.contains("another id"), "{taken}");
    load(&[BROKER, ("PW_GATEWAYS", list)]).unwrap();
}

#[test]
fn frames_are_for_everybody_unless_somebody_is_named() {
    let http = |variables: &[(&str, &str)]| load(variables).unwrap().http;
    let default = http(&[]);
    assert_eq!((default.style.name(), default.frame_ancestors.as_str()), ("clear", "*"));
    let named = http(&[("PW_STYLE", "Grafana-Dark"), ("PW_FRAME_ANCESTORS", "self, http://wall.local:3000")]);
    assert_eq!(named.style.name(), "grafana-dark");
    assert_eq!(named.frame_ancestors, "'self' http://wall.local:3000");
    assert_eq!(http(&[("PW_FRAME_ANCESTORS", "'none'")]).frame_ancestors, "'none'");
}

#[test]
fn doubtful_settings_of_the_broker_are_warned_of() {
    for (variables, expected) in [
        (&[("MQTT_PASSWORD", "x")][..], "no effect without MQTT_USERNAME"),
        (&[("MQTT_TLS_INSECURE", "yes")], "no effect without MQTT_TLS"),
        (&[("MQTT_TLS", "yes")], "8883"),
        (&[("MQTT_TLS", "yes"), ("MQTT_PORT", "8883"), ("MQTT_TLS_INSECURE", "yes")], "can read and change"),
    ] {
        let warnings = load(&[&[BROKER], variables].concat()).unwrap().warnings;
        assert!(warnings.len() == 1 && warnings[0].contains(expected), "{warnings:?}");
    }
}

#[test]
fn trusted_proxies_are_addresses_and_networks() {
    let settings = load(&[("PW_TRUSTED_PROXIES", "127.0.0.1, 172.17.3.4/12,fd00::/8")]).unwrap();
    let trusts = |address: &str| settings.http.trusted_proxies.contains(address.parse().unwrap());
    assert!(["127.0.0.1", "::ffff:127.0.0.1", "172.31.0.9", "fd12::1"].into_iter().all(trusts));
    assert!(!["127.0.0.2", "172.32.0.1", "::1", "fe80::1"].into_iter().any(trusts));
    let shown = settings.effective.iter().find(|setting| setting.name == "PW_TRUSTED_PROXIES").unwrap();
    assert_eq!(shown.value, "127.0.0.1, 172.16.0.0/12, fd00::/8");
    assert!(load(&[]).unwrap().http.trusted_proxies == Default::default(), "nobody, unless configured");
    for odd in ["proxy.local", "10.0.0.0/33", "*"] {
        let problems = load(&[("PW_TRUSTED_PROXIES", odd)]).unwrap_err();
        assert!(problems.contains("PW_TRUSTED_PROXIES") && problems.contains(odd), "{problems}");
    }
    assert!(load(&[("PW_CONNECTIONS_PER_ADDRESS", "0")]).is_err());
}

/// A password as it would be sent.
fn password_of(settings: &Settings) -> &str {
    match &settings.gateways[0].link {
        LinkConfig::Local(config) => config.password.expose(),
        link => panic!("{link:?}"),
    }
}

#[test]
fn what_is_typed_without_quotes_is_taken_as_it_is_spelled() {
    for text in ["12E45", "1e5", "0x1F3", "0o17", "1.50", "+1234", "0123", "-0"] {
        let yaml = format!("gateways: [{{id: home, host: h, password: {text}, siteid: {text}}}]");
        let file = file(&yaml);
        let settings = load(&[("PW_CONFIG", file.path().to_str().unwrap())]).unwrap();
        assert_eq!(password_of(&settings), text);
        assert_eq!(settings.gateways[0].facts.site_id.as_deref(), Some(text));
    }
    let json = r#"[{"id":"home","host":"h","password":12E45}]"#;
    assert_eq!(password_of(&load(&[("PW_GATEWAYS", json)]).unwrap()), "12E45");
    let twice = r#"[{"id":"home","host":"h","password":"x","host":"i"}]"#;
    let problems = load(&[("PW_GATEWAYS", twice)]).unwrap_err();
    assert!(problems.contains("the key \"host\" is given twice"), "{problems}");
    for (yaml, expected) in [
        ("gateways: [{id: home, host: h, password: true}]", "password: expected a text in quotes"),
        ("gateways:\n\t- id: home\n", "YAML takes no tab"),
        ("gateways: []\ngateways: []\n", "the key \"gateways\" is given twice (line 2)"),
    ] {
        let file = file(yaml);
        let problems = load(&[("PW_CONFIG", file.path().to_str().unwrap())]).unwrap_err();
        assert!(problems.contains(expected), "{problems}");
    }
}

#[test]
fn merge_keys_of_a_file_count() {
    let yaml = "gateways:\n  - &first\n    id: one\n    host: 127.0.0.1:21606\n    password: FGHIJ\n    \
        timezone: Europe/Berlin\n  - <<: *first\n    id: two\n";
    let file = file(yaml);
    let gateways = load(&[("PW_CONFIG", file.path().to_str().unwrap())]).unwrap().gateways;
    let facts: Vec<_> = gateways.iter().map(|gateway| gateway.facts.clone()).collect();
    assert_eq!((facts[0].id.as_str(), facts[1].id.as_str()), ("one", "two"));
    assert_eq!((&facts[0].host, facts[0].port), (&facts[1].host, facts[1].port));
    assert_eq!(facts[1].timezone.as_deref(), Some("Europe/Berlin"));
}

#[test]
fn a_secret_is_one_line_of_what_can_be_typed() {
    let from_file = |bytes: &[u8]| {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        let path = file.path().to_str().unwrap();
        load(&[("PW_HOST", "h"), ("PW_PASSWORD_FILE", path)])
    };
    for bytes in [&b"FGHIJ"[..], b"FGHIJ\r\n", b"\xef\xbb\xbfFGHIJ\n", b" FGHIJ \n\n"] {
        assert_eq!(password_of(&from_file(bytes).unwrap()), "FGHIJ", "{bytes:?}");
    }
    for (bytes, expected) in [
        (&b"FGHIJ\nsecond line\n"[..], "has more than one line"),
        (b"FGH\0IJ", "has the character U+0000"),
        (b"FG\x1bHIJ", "has the character U+001B"),
        (b"FGHIJ\xff", "not UTF-8"),
        (b"\xef\xbb\xbf\n", "is empty"),
    ] {
        let problems = from_file(bytes).unwrap_err();
        assert!(problems.starts_with("PW_PASSWORD_FILE: ") && problems.contains(expected), "{problems}");
        assert!(!problems.contains("FG"), "{problems}");
    }
    for (variables, place) in [
        (&[("PW_HOST", "h"), ("PW_PASSWORD", "FGH\u{1}IJ")][..], "PW_PASSWORD: has the character U+0001"),
        (&[("PW_HOST", "h"), ("PW_PASSWORD", "FGH\nIJ")], "PW_PASSWORD: has more than one line"),
        (
            &[("PW_GATEWAYS", r#"[{"id":"a","host":"h","gw_pwd":"FGH\u0000IJ"}]"#)],
            "PW_GATEWAYS[0].gw_pwd: has the character U+0000",
        ),
    ] {
        let problems = load(variables).unwrap_err();
        assert!(problems.contains(place) && !problems.contains("FGH"), "{problems}");
    }
}

#[test]
fn quotes_that_a_launcher_kept_are_warned_about() {
    let quoted = [("PW_HOST", "h"), ("PW_PASSWORD", "\"FGHIJ\"")];
    let settings = load(&quoted).unwrap();
    assert_eq!(password_of(&settings), "\"FGHIJ\"", "it may be meant");
    let warned = settings.warnings.iter().find(|warning| warning.starts_with("PW_PASSWORD begins")).unwrap();
    assert!(warned.contains("--env-file") && !warned.contains("FGHIJ"), "{warned}");
    let problems = load(&[("PW_GATEWAYS", "'[]'")]).unwrap_err();
    assert!(problems.contains("it is in quotes that do not belong to it"), "{problems}");
}

#[test]
fn variables_that_kubernetes_sets_for_services_are_none_of_ours() {
    let settings = load(&[
        ("PW_HOST", "192.168.91.1"),
        ("PW_GW_PWD", "ABCDEFGHIJ"),
        ("MQTT_PORT", "tcp://10.43.7.8:1883"),
        ("MQTT_SERVICE_HOST", "10.43.7.8"),
        ("MQTT_SERVICE_PORT_MQTT", "1883"),
        ("MQTT_PORT_1883_TCP_ADDR", "10.43.7.8"),
        ("PW_PORT", "tcp://10.43.7.9:8675"),
        ("PW_S_PORT", "udp://10.43.7.9:8675"),
    ])
    .unwrap();
    assert_eq!((settings.http.port, settings.mqtt.port), (8675, 1883));
    let of_kubernetes = settings.warnings.iter().filter(|warning| warning.contains("Kubernetes"));
    assert_eq!(of_kubernetes.count(), 6, "{:?}", settings.warnings);
    assert!(load(&[("PW_PORT", "http://x")]).is_err());
}

#[test]
fn names_count_in_any_case_and_new_ones_before_old_ones() {
    let settings = load(&[("pw_host", "h"), ("Pw_Password", "FGHIJ"), ("mqtt_host", "broker")]).unwrap();
    assert_eq!((password_of(&settings), settings.mqtt.host.as_deref()), ("FGHIJ", Some("broker")));
    let both = load(&[("PW_HOST", "right"), ("pw_host", "wrong"), ("PW_PASSWORD", "x")]).unwrap();
    assert_eq!(both.gateways[0].facts.host.as_deref(), Some("right"));
    assert_eq!(both.warnings, ["pw_host has no effect: PW_HOST is set as well"]);
    let lower = load(&[("pw_config", "/no/such/file")]).unwrap();
    assert_eq!(lower.warnings, ["pw_config has no effect: only PW_CONFIG in upper case is read"]);

    for names in [["PW_AUTHPATH", "PW_AUTH_PATH"], ["PW_AUTH_PATH", "PW_AUTHPATH"]] {
        let variables = names.map(|name| (name, if name == "PW_AUTHPATH" { "/old" } else { "/new" }));
        let memory = load(&variables).unwrap().polling.memory.unwrap();
        assert_eq!(memory, std::path::Path::new("/new"), "{names:?}");
    }
}

#[test]
fn a_tilde_in_a_path_is_the_folder_of_the_user() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("password"), "FGHIJ\n").unwrap();
    let at = home.path().to_str().unwrap();
    let settings = load(&[
        ("PW_HOST", "h"),
        ("PW_PASSWORD_FILE", "~/password"),
        ("HOME", at),
        ("PW_AUTH_PATH", "~"),
        ("PW_TIMESERIES_PATH", "~/t.db"),
    ])
    .unwrap();
    assert_eq!(password_of(&settings), "FGHIJ");
    assert_eq!(settings.polling.memory.as_deref(), Some(home.path()));
    assert_eq!(settings.store.unwrap(), home.path().join("t.db"));
    let list = r#"[{"id":"a","host":"h","password":"x","authpath":"~/a"}]"#;
    let settings = load(&[("PW_GATEWAYS", list), ("HOME", at)]).unwrap();
    let session = settings.gateways[0].state_file.clone().unwrap();
    assert!(session.starts_with(home.path().join("a")), "{session:?}");
    assert_eq!(load(&[("PW_AUTH_PATH", "~")]).unwrap().polling.memory.unwrap(), std::path::Path::new("~"));
}
