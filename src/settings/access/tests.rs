use std::io::Write;

use super::*;
use crate::settings::{Inputs, Settings};

const SECRET: &str = "a-secret-of-the-car";

fn load(yaml: &str, environment: &[(&str, &str)]) -> Result<Settings, String> {
    let mut file = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
    write!(file, "gateways: [{{id: home, host: h, gw_pwd: x}}, {{id: lake, host: l, gw_pwd: x}}]\n{yaml}")
        .unwrap();
    let mut inputs = Inputs::default();
    let path = file.path().to_str().unwrap();
    let all = [("PW_CONFIG", path)].into_iter().chain(environment.iter().copied());
    inputs.environment = all.map(|(name, text)| (name.to_owned(), text.to_owned())).collect();
    Settings::load(&inputs).map_err(|problems| problems.to_string())
}

fn access(yaml: &str, environment: &[(&str, &str)]) -> Access {
    load(yaml, environment).unwrap_or_else(|problems| panic!("{problems}")).access
}

#[test]
fn tokens_have_a_name_a_role_gateways_and_a_secret_from_one_place() {
    let mut secret = tempfile::NamedTempFile::new().unwrap();
    writeln!(secret, "{SECRET}-from-a-file").unwrap();
    let path = secret.path().display();
    let yaml = format!(
        "tokens:\n\
         - {{name: car, role: operator, gateways: [lake], secret: {SECRET}}}\n\
         - {{name: wall, role: viewer, secret_env: PW_TOKEN_WALL}}\n\
         - {{name: night, role: owner, secret_file: {path}}}\n"
    );
    let environment = [("PW_CONTROL_SECRET", "short"), ("PW_TOKEN_WALL", "a-secret-of-the-wall")];
    let access = access(&yaml, &environment);
    let seen = |token: &Arc<Token>| {
        let Token { name, role, gateways, secret } = &**token;
        (name.clone(), *role, gateways.clone(), secret.expose().to_owned())
    };
    let expected = [
        (CONTROL_SECRET, Role::Owner, None, "short".to_owned()),
        ("car", Role::Operator, Some(vec!["lake".to_owned()]), SECRET.to_owned()),
        ("wall", Role::Viewer, None, "a-secret-of-the-wall".to_owned()),
        ("night", Role::Owner, None, format!("{SECRET}-from-a-file")),
    ]
    .map(|(name, role, gateways, secret)| (name.to_owned(), role, gateways, secret));
    assert_eq!(access.tokens.iter().map(seen).collect::<Vec<_>>(), expected);
    assert!(access.is_open);
    assert!(access.tokens[1].reaches("lake") && !access.tokens[1].reaches("home"));
    assert!(access.tokens[0].reaches("home"));
}

#[test]
fn readings_need_a_token_if_the_file_or_else_the_variable_says_so() {
    let secret = ("PW_CONTROL_SECRET", "x");
    assert!(!access("", &[secret, ("PW_ANONYMOUS", "none")]).is_open);
    assert!(!access("anonymous: none", &[secret]).is_open);
    assert!(access("anonymous: viewer", &[secret, ("PW_ANONYMOUS", "none")]).is_open);
    let nobody = load("anonymous: none", &[]).unwrap_err();
    assert!(nobody.contains("PW_ANONYMOUS: none: nobody could read"), "{nobody}");
    let through_ingress = ("PW_INGRESS", "172.30.32.2");
    assert!(!access("anonymous: none", &[through_ingress]).is_open, "somebody can");
}

#[test]
fn every_mistake_is_named_at_once_and_no_secret_is_shown() {
    let yaml = format!(
        "anonymous: no\ntokens:\n\
         - {{name: car, role: driver, gateways: [lake, sea], secret: {SECRET}}}\n\
         - {{name: a b, rolle: owner, secret: {SECRET}, secret_file: /nowhere}}\n\
         - {{role: owner, secret: short}}\n\
         - {{name: c, role: owner, secret_env: {SECRET}}}\n\
         - {{name: d, role: owner, secret_env: PW_TOKEN_UNSET}}\n\
         - {{name: e, role: owner, secret_file: /nowhere/secret}}\n\
         - {{name: f, role: owner, gateways: []}}\n\
         - nobody\n"
    );
    let problems = load(&yaml, &[]).unwrap_err();
    for part in [
        ": anonymous: \"no\" is neither viewer nor none",
        "tokens[0].role: \"driver\" is not viewer, operator or owner",
        "tokens[0].gateways: \"sea\" is not the id of a gateway: home, lake",
        "tokens[1].rolle: unknown key; did you mean role?",
        "tokens[1].role: missing: viewer, operator or owner",
        "tokens[1].name: \"a b\" is not 1 to 64 of",
        "tokens[1].secret: expected exactly one of secret_file, secret_env and secret",
        "tokens[2].name: missing",
        "tokens[2].secret: a secret needs 16 characters",
        "tokens[3].secret_env: expected the name of a variable that begins with PW_TOKEN_",
        "tokens[4].secret_env: PW_TOKEN_UNSET is not set, or empty",
        "tokens[5].secret_file: \"/nowhere/secret\" cannot be read",
        "tokens[6].gateways: expected a list of ids of gateways",
        "tokens[6].secret: expected exactly one of",
        "tokens[7]: expected an object with name, role and secret_file",
    ] {
        assert!(problems.contains(part), "{part} is not in\n{problems}");
    }
    assert!(!problems.contains(SECRET), "{problems}");
    let entry = |name: &str, secret: &str| format!("- {{name: {name}, role: owner, secret: {secret}}}\n");
    let twice = format!("tokens:\n{}{}", entry("a", SECRET), entry("a", "another-long-secret"));
    assert!(load(&twice, &[]).unwrap_err().contains("two tokens have the name a"));
    let same = format!("tokens:\n{}", entry("a", SECRET));
    let problem = load(&same, &[("PW_CONTROL_SECRET", SECRET)]).unwrap_err();
    assert!(problem.contains("control secret and a have the same secret"), "{problem}");
}

#[test]
fn a_variable_of_a_token_is_no_unknown_setting_and_is_missed_if_nothing_names_it() {
    let settings = load("", &[("PW_TOKEN_WALL", SECRET)]).unwrap();
    let warning = "PW_TOKEN_WALL has no effect: no token in the file says secret_env: PW_TOKEN_WALL";
    assert!(settings.warnings.iter().any(|known| known == warning), "{:?}", settings.warnings);
    assert!(!format!("{settings:?}").contains(SECRET));
}
