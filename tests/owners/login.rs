//! `login --owners`: the real program, as somebody without a browser on that machine uses it.

use std::process::Stdio;

use powerwall_server::tls;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;

use super::*;

impl World {
    /// Runs it; `answer` is what the person types at each prompt, by the address that was shown.
    pub(super) async fn log_in(
        &self,
        arguments: &[&str],
        answer: impl Fn(&str) -> Option<String>,
    ) -> (bool, String) {
        let mut program = Command::new(env!("CARGO_BIN_EXE_powerwall-server"))
            .arg("login")
            .arg("--owners")
            .args(arguments)
            .env_clear()
            .envs(self.tesla.environment(self.folder.path()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let (mut to, from) = (program.stdin.take(), program.stdout.take().unwrap());
        let mut lines = BufReader::new(from).lines();
        let mut said = String::new();
        while let Some(line) = lines.next_line().await.unwrap() {
            said += &format!("{line}\n");
            let is_asking = line.starts_with("https://") || line.starts_with("Mind:") && answer("").is_some();
            if let Some(mut to) = to.take_if(|_| is_asking) {
                let back = if line.starts_with("https://") { self.open(&line).await } else { String::new() };
                let typed = answer(&back).unwrap_or_default();
                to.write_all(format!("{typed}\n").as_bytes()).await.unwrap();
            }
        }
        let mut wrong = String::new();
        program.stderr.take().unwrap().read_to_string(&mut wrong).await.unwrap();
        (program.wait().await.unwrap().success(), said + &wrong)
    }

    /// Where a browser would end.
    async fn open(&self, address: &str) -> String {
        let authority = tls::certificates(&self.folder.path().join("owners-authority.pem")).unwrap();
        let config = tls::checked_http(tls::authorities(&authority).unwrap());
        let connector = awc::Connector::new().rustls_0_23(config);
        let client = awc::Client::builder().connector(connector).disable_redirects().finish();
        let response = client.get(address).send().await.unwrap();
        assert_eq!(response.status(), 302, "{address}");
        response.headers().get("location").unwrap().to_str().unwrap().to_owned()
    }

    /// Nobody has logged in.
    fn without_tokens(self) -> Self {
        std::fs::remove_file(self.folder.path().join(".pypowerwall.auth")).unwrap();
        self
    }

    fn has_file(&self) -> bool {
        self.folder.path().join(".pypowerwall.auth").exists()
    }

    fn is_silent_about_secrets(&self, said: &str) {
        for secret in self.tesla.secrets() {
            assert!(!said.contains(&secret), "{said}");
        }
    }
}

#[actix_web::test]
async fn who_logs_in_by_the_command_line_is_served_afterwards() {
    let world = world().await.without_tokens();
    let address = |back: &str| (!back.is_empty()).then(|| back.to_owned());
    let (is_done, said) = world.log_in(&[], address).await;
    assert!(is_done && said.contains("siteid 11: Home") && said.contains("any day"), "{said}");
    world.is_silent_about_secrets(&said);
    let account = &world.file()["owner@example.com"];
    assert_eq!(account["url"], "https://auth.tesla.com/");
    assert!(account["sso"]["expires_at"].as_f64().unwrap() > 1.7e9, "{said}");
    assert_eq!(std::fs::read_to_string(world.folder.path().join(".pypowerwall.site")).unwrap(), "11");
    assert_eq!(world.tesla.minted(), [Minted { over_http2: true, over_tls_1_3: true }]);
    let service = world.serve(&[]);
    is_read(&service).await;
    service.stop().await;
    assert_eq!(world.tesla.requests("/oauth2/v3/token"), 1, "the token of the login is used first");
}

#[actix_web::test]
async fn a_login_that_fails_says_why_and_keeps_nothing() {
    type Change = fn(&str) -> String;
    let cases: [(Change, &str); 3] = [
        (|back| back.replace("auth.tesla.com", "evil.example"), "neither auth.tesla.com nor auth.tesla.cn"),
        (|back| back.replace("state=", "state=x"), "another login"),
        (|_| "https://auth.tesla.com/void/callback?code=x".into(), "neither an address with a code"),
    ];
    for (change, says) in cases {
        let world = world().await.without_tokens();
        let (is_done, said) = world.log_in(&[], |back| (!back.is_empty()).then(|| change(back))).await;
        assert!(!is_done && said.contains(says), "{said}");
        assert!(!world.has_file());
        assert_eq!(world.tesla.requests("/oauth2/v3/token"), 0, "{said}");
    }
    // Tokens that Tesla gives and does not accept.
    let world = world().await.without_tokens();
    world.tesla.set("/api/1", CloudFault::status(403));
    let (is_done, said) = world.log_in(&[], |back| (!back.is_empty()).then(|| back.to_owned())).await;
    assert!(!is_done && said.contains("not accepted") && said.contains("FleetAPI"), "{said}");
    assert!(!world.has_file());
}

#[actix_web::test]
async fn tokens_that_an_app_made_are_tried_before_they_are_kept() {
    let world = world().await;
    let before = world.file();
    let (access, refresh) = world.tesla.pair();
    let arguments = ["--paste", "--email", "other@example.com"];
    let typed = format!("{refresh}\n{access}");
    let (is_done, said) = world.log_in(&arguments, |_| Some(typed.clone())).await;
    assert!(is_done, "{said}");
    world.is_silent_about_secrets(&said);
    let file = world.file();
    assert_eq!(file["other@example.com"]["sso"]["refresh_token"], refresh.as_str());
    assert_eq!(file["owner@example.com"], before["owner@example.com"], "other accounts stay");

    // The other way round, and one that Tesla refuses.
    let typed = format!("{access}\n{refresh}");
    let (is_done, said) = world.log_in(&arguments, |_| Some(typed.clone())).await;
    assert!(!is_done && said.contains("not an access token"), "{said}");
    world.tesla.spoil();
    let typed = format!("{refresh}\n{access}");
    let (is_done, said) = world.log_in(&arguments, |_| Some(typed.clone())).await;
    assert!(!is_done && said.contains("HTTP 403"), "{said}");
    assert_eq!(world.file(), file);
}
