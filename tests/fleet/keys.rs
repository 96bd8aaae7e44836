//! Keys for signed requests: registered, confirmed at the house, listed, named and removed by the command
//! line.

use powerwall_server::settings::RsaKey;
use powerwall_server::simulator::Registration;
use powerwall_server::simulator::tesla::Spelling;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};

use super::set_up::output;
use super::*;

const KEY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/v1r/key-4096.pem");
const OTHER: &[u8] = b"the public key of a phone";
const PASSWORD: (&str, &str) = ("PW_PASSWORD", "ATED1");
const SWITCH: &str = "Now toggle the switch of one Powerwall";

fn own() -> RsaKey {
    RsaKey::read(KEY.as_ref()).unwrap()
}

/// A house with an address on the wired LAN, which Tesla reaches.
struct Site {
    world: World,
    lan: GatewayHandle,
    host: String,
}

async fn site() -> Site {
    let world = world().await;
    let lan = world.house.on_lan().await.unwrap();
    world.tesla.connect(11, &lan);
    let host = lan.addr.to_string();
    Site { world, lan, host }
}

impl Site {
    fn accepts(&self) -> bool {
        self.lan.lan().unwrap().accepts(own().public_der())
    }

    /// Registers the key; `at_switch`: what somebody does when asked to go to the switch.
    async fn register(&self, arguments: &[&str], at_switch: impl Fn()) -> (bool, String) {
        let all: Vec<&str> =
            ["register", "--key", KEY].into_iter().chain(arguments.iter().copied()).collect();
        let mut program = self.world.command(&all, &[PASSWORD]);
        let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
        let mut said = String::new();
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.contains(SWITCH) {
                at_switch();
            }
            said += &format!("{line}\n");
        }
        let mut wrong = String::new();
        program.stderr.take().unwrap().read_to_string(&mut wrong).await.unwrap();
        (program.wait().await.unwrap().success(), said + &wrong)
    }

    async fn keys(&self, arguments: &[&str], typed: &str) -> (bool, String) {
        let all: Vec<&str> = ["keys", "--key", KEY, "--host", &self.host]
            .into_iter()
            .chain(arguments.iter().copied())
            .collect();
        output(self.world.command(&all, &[PASSWORD]), typed).await
    }

    /// How often a key was registered.
    fn registrations(&self) -> usize {
        let asked = self.world.tesla.asked();
        asked.iter().filter(|asked| asked.body.contains("add_authorized_client_request")).count()
    }
}

#[actix_web::test]
async fn a_key_is_registered_confirmed_at_the_switch_and_proven_by_a_signed_question() {
    let site = site().await;
    site.world.tesla.add_client(11, OTHER, "Phone");
    site.world.tesla.spell(Spelling::Camel);
    let (is_done, said) = site.register(&["--host", &site.host], || site.world.tesla.toggle_switch(11)).await;
    assert!(is_done && site.accepts(), "{said}");
    let fingerprint = own().fingerprint().to_owned();
    let expected =
        ["Site 11 (Home)", &fingerprint, "red flap", "The gateway accepts the key", "PW_RSA_KEY_PATH="];
    for text in expected {
        assert!(said.contains(text), "{text}: {said}");
    }
    assert_eq!(said.matches(SWITCH).count(), 1, "{said}");
    for secret in site.world.tesla.secrets().iter().map(String::as_str).chain([PASSWORD.1]) {
        assert!(!said.contains(secret), "{said}");
    }
    // Once more, and nobody need go to the switch.
    assert_eq!(site.registrations(), 1);
    let (is_done, said) = site.register(&["--host", &site.host], || panic!("nothing to confirm")).await;
    assert!(is_done && said.contains("The gateway accepts the key"), "{said}");
    assert_eq!(site.registrations(), 1);

    // What it printed makes a gateway.
    let (host, port) = (site.lan.addr.ip().to_string(), site.lan.addr.port());
    let entry =
        json!([{ "id": "home", "host": host, "port": port, "rsa_key_path": KEY, "password": "ATED1" }]);
    let service = site.world.serve(&entry, &[]);
    becomes(&service, "/aggregates", "is there", |body| body["site"].is_object()).await;
    service.stop().await;
}

#[actix_web::test]
async fn that_tesla_says_yes_proves_nothing() {
    // The cloud is content at once, the gateway is not: somebody has to go to the switch all the same.
    let hasty = site().await;
    hasty.world.tesla.be_hasty();
    let null = CloudFault::body(200, r#"{"response":null}"#);
    hasty.world.tesla.set_times("/command", null, 1);
    let at_lan = ["--host", hasty.host.as_str()];
    let with_switch = hasty.register(&at_lan, || hasty.world.tesla.toggle_switch(11));

    // Nobody can be asked, neither over the LAN nor over the cloud.
    let alone = site().await;
    alone.world.tesla.be_hasty();
    let without_lan = alone.register(&["--host", "127.0.0.1:9"], || {});

    let ((is_done, said), (is_proven, told)) = tokio::join!(with_switch, without_lan);
    assert!(is_done && hasty.accepts() && said.contains(SWITCH), "{said}");
    assert!(!is_proven && told.contains("proves nothing") && told.contains("--host"), "{told}");
    assert_eq!(alone.registrations(), 1);
    // Once it is confirmed, a signed question over the cloud is as good as one over the LAN.
    alone.world.tesla.toggle_switch(11);
    let (is_done, said) = alone.register(&["--host", "127.0.0.1:9"], || {}).await;
    assert!(is_done && said.contains("relay: true"), "{said}");
}

#[actix_web::test]
async fn a_key_that_nobody_confirms_is_registered_once_more_and_has_one_entry() {
    let site = site().await;
    site.world.tesla.set_window(Duration::ZERO);
    let (is_done, said) = site.register(&["--host", &site.host], || {}).await;
    assert!(!is_done && said.contains("Run this again"), "{said}");
    site.world.tesla.set_window(SECOND * 540);
    let (is_done, said) = site.register(&["--host", &site.host], || site.world.tesla.toggle_switch(11)).await;
    assert!(is_done && site.accepts(), "{said}");
    let (is_done, said) = site.keys(&[], "").await;
    assert!(is_done && said.matches("registered as").count() == 1, "{said}");
}

#[actix_web::test]
async fn what_stands_in_the_way_of_a_registration_is_said_before_anything_is_registered() {
    // A new key, where there was none; the address comes from the cloud, and nobody takes a wrong site.
    let site = site().await;
    site.world.tesla.add(12, &house("cabin", 2).await);
    let arguments = ["register", "--siteid", "13"];
    let (is_done, said) = output(site.world.command(&arguments, &[]), "").await;
    assert!(!is_done && said.contains("no site 13") && said.contains("11 (Home)"), "{said}");
    let (is_done, said) = output(site.world.command(&["register"], &[]), "\n").await;
    assert!(!is_done && said.contains("several energy sites") && said.contains("not given"), "{said}");
    assert!(!site.world.folder.path().join("tedapi_rsa_private.pem").exists());

    site.world.tesla.set_window(Duration::ZERO);
    let (is_done, said) = output(site.world.command(&["register"], &[]), "11\n\n").await;
    assert!(!is_done && said.contains("A new key is in"), "{said}");
    assert!(said.contains("reports to be at 127.0.0.1 on the LAN") && !said.contains("PRIVATE"), "{said}");
    let key = site.world.folder.path().join("tedapi_rsa_private.pem");
    assert_eq!(RsaKey::read(&key).unwrap().bits(), 4096);
    #[cfg(unix)]
    {
        let file = std::fs::metadata(&key).unwrap();
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&file.permissions()) & 0o777, 0o600);
    }
    let before = site.registrations();
    site.world.tesla.set_scopes(&["openid", "offline_access", "energy_device_data"]);
    site.world.tesla.sign_in(site.world.folder.path()).unwrap();
    let (is_done, said) = output(site.world.command(&["register", "--siteid", "11"], &[]), "").await;
    assert!(!is_done && said.contains("readings only"), "{said}");
    assert_eq!(site.registrations(), before);
}

#[actix_web::test]
async fn keys_are_listed_named_and_removed_by_fingerprint() {
    let site = site().await;
    site.world.tesla.add_client(11, OTHER, "Phone");
    site.world.tesla.add_client(11, own().public_der(), "powerwall-server");
    let (is_done, said) = site.keys(&[], "").await;
    assert!(is_done && said.contains("the key of this program: may sign"), "{said}");
    assert!(said.contains("unknown: may sign") && said.contains("1 without a name here"), "{said}");
    let is_hex = |line: &&str| line.len() == 64 && line.bytes().all(|byte| byte.is_ascii_hexdigit());
    let digits: Vec<&str> = said.lines().map(str::trim).filter(is_hex).collect();
    let [phone, ours] = digits[..] else { panic!("{said}") };
    assert_eq!(ours, own().fingerprint());

    let (is_done, named) = site.keys(&["name", &phone[..12], "Ann's phone"], "").await;
    assert!(is_done, "{named}");
    let (_, said) = site.keys(&[], "").await;
    assert!(said.contains("Ann's phone: may sign") && !said.contains("without a name"), "{said}");

    let refused = [
        (vec!["revoke", &ours[..16]], "", "that is the key of this program"),
        (vec!["revoke", &phone[..16]], "0000\n", "not confirmed"),
        (vec!["revoke", &phone[..7]], "", "8 or more"),
        (vec!["revoke", "00000000"], "", "no key 00000000"),
    ];
    for (arguments, typed, why) in refused {
        let (is_done, said) = site.keys(&arguments, typed).await;
        assert!(!is_done && said.contains(why), "{why}: {said}");
    }
    assert!(site.lan.lan().unwrap().accepts(OTHER));

    // An answer without any keys is no empty list.
    let null = CloudFault::body(200, r#"{"response":{"message":null}}"#);
    site.world.tesla.set_times("/command", null, 1);
    let (is_done, said) = site.keys(&[], "").await;
    assert!(!is_done && said.contains("says nothing of keys"), "{said}");

    let (is_done, said) = site.keys(&["revoke", &phone[..16]], &format!("{}\n", &phone[60..])).await;
    assert!(is_done && said.contains("has removed it, and it is in the list no more"), "{said}");
    assert!(!site.lan.lan().unwrap().knows(OTHER) && site.accepts());

    // A key that the gateway does not accept removes none.
    site.lan.lan().unwrap().register(own().public_der(), Registration::Inactive);
    site.world.tesla.add_client(11, OTHER, "Phone");
    let (is_done, said) = site.keys(&["revoke", &phone[..16]], &format!("{}\n", &phone[60..])).await;
    assert!(!is_done && said.contains("no longer accepts"), "{said}");
    assert!(site.lan.lan().unwrap().knows(OTHER));
}

/// What a terminal shows while somebody types.
#[cfg(unix)]
#[actix_web::test]
async fn a_secret_that_is_typed_is_not_shown() {
    use std::io::{Read, Write};
    use std::os::fd::OwnedFd;
    use std::process::Stdio;

    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

    let world = world().await;
    std::fs::remove_file(world.folder.path().join(".pypowerwall.fleetapi")).unwrap();
    let control = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&control).unwrap();
    unlockpt(&control).unwrap();
    let name = ptsname(&control, Vec::new()).unwrap();
    let terminal = std::fs::File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
    let mut program = tokio::process::Command::new(env!("CARGO_BIN_EXE_powerwall-server"));
    let mut program = program
        .arg("login")
        .env_clear()
        .envs(world.tesla.environment(world.folder.path()))
        .stdin(Stdio::from(OwnedFd::from(terminal.try_clone().unwrap())))
        .stdout(Stdio::from(OwnedFd::from(terminal)))
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let conversation = tokio::task::spawn_blocking(move || {
        let (mut screen, mut shown) = (std::fs::File::from(control), String::new());
        let typed =
            [("Client id", "a-client-id\n"), ("client secret", "CanaryTypedSecret\n"), ("redirect", "\n")];
        for (question, answer) in typed {
            while !shown.contains(question) {
                let mut piece = [0; 1024];
                let read = screen.read(&mut piece).unwrap();
                shown += &String::from_utf8_lossy(&piece[..read]);
            }
            screen.write_all(answer.as_bytes()).unwrap();
        }
        (screen, shown)
    });
    let (screen, shown) = timeout(PATIENCE, conversation).await.expect("it asks").unwrap();
    let mut said = String::new();
    program.stderr.take().unwrap().read_to_string(&mut said).await.unwrap();
    assert!(said.contains("the redirect address was not given"), "{said}");
    program.wait().await.unwrap();
    // What is typed before anybody asks is shown by the terminal; the secret was typed when it was asked for.
    assert!(shown.contains("a-client-id") && !shown.contains("Canary"), "{shown}");
    let modes = rustix::termios::tcgetattr(&screen).unwrap().local_modes;
    assert!(modes.contains(rustix::termios::LocalModes::ECHO), "the terminal is as it was");
}
