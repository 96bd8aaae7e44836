//! Live clients of the real program that send what they like, never read, or are many; and a program that is
//! stopped and continued under them.

use std::net::Ipv4Addr;
use std::time::Duration;

use futures_util::future::join_all;
use powerwall_server::app::Service;
use powerwall_server::connections::Limits;
use powerwall_server::settings::{Inputs, Settings};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::spawn_local;
use tokio::time::{sleep, timeout};

use super::program::{PATIENCE, Program};
use super::raw::{From, client_frame, close_code, open, server_frame};

/// More than any of them may leave behind.
const OFFERED: usize = 64 << 20;
const PATHS: [&str; 3] = ["/ws/live", "/ws/aggregate", "/ws/gateway/home"];

async fn demo() -> Program {
    let program = Program::start(&["demo", "--port", "0"], &[]).await;
    program.health_becomes("home", |health| health["state"] == "live").await;
    program
}

/// The value of a series of `/metrics`.
async fn metric(program: &Program, series: &str) -> f64 {
    let page = program.get("/metrics").await.1;
    let value = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("no {series} in {page}")).parse().unwrap()
}

/// Sends `head`, and `body` again and again until the connection takes no more or [`OFFERED`] bytes were
/// taken.
async fn flood(stream: &mut (impl AsyncWriteExt + Unpin), head: &[u8], body: &[u8]) -> usize {
    let mut taken = 0;
    let flooding = async {
        stream.write_all(head).await?;
        while taken < OFFERED {
            taken += stream.write(body).await?;
        }
        std::io::Result::Ok(())
    };
    let _ = timeout(PATIENCE, flooding).await.expect("a flood ends");
    taken
}

#[actix_web::test]
async fn no_client_takes_memory_or_time_by_what_it_sends() {
    let claim = |length: u64| [&[0x82, 0xff], &length.to_be_bytes()[..], &[0; 4]].concat();
    let attacks: [(&str, Vec<u8>, Vec<u8>, u16); 5] = [
        ("a frame of 2^63 - 1 bytes", claim(i64::MAX as u64), vec![b'x'; 64 << 10], 1009),
        ("a frame of 100 MB", claim(100 << 20), vec![b'x'; 64 << 10], 1009),
        ("texts of a byte", Vec::new(), client_frame(0x81, b"x").repeat(9000), 1008),
        ("empty pings", Vec::new(), client_frame(0x89, b"").repeat(9000), 1008),
        ("texts of 4000 bytes", Vec::new(), client_frame(0x81, &[b'x'; 4000]).repeat(16), 1008),
    ];
    let program = demo().await;
    let before = program.resident_kilobytes();
    for (what, head, body, expected) in &attacks {
        let of_one = async |path| {
            let stream = open(program.addr, path, From::HERE).await;
            let (mut reading, mut writing) = stream.into_split();
            let code = spawn_local(async move { close_code(&mut reading).await });
            let taken = flood(&mut writing, head, body).await;
            // Only what fits into the buffers of both systems is taken off the client.
            assert!(taken < OFFERED, "{what} at {path}: {taken} bytes");
            let code = timeout(PATIENCE, code).await.expect("the connection ends").unwrap();
            assert_eq!(code, Some(*expected), "{what} at {path}");
        };
        let of_deaf = async |path| {
            let mut deaf = open(program.addr, path, From::NARROW).await;
            let taken = flood(&mut deaf, head, body).await;
            assert!(taken < OFFERED, "{what} at {path}, never reading: {taken} bytes");
        };
        tokio::join!(join_all(PATHS.map(of_one)), join_all(PATHS.map(of_deaf)));
        let grown = program.resident_kilobytes().saturating_sub(before);
        assert!(grown < 12 << 10, "{what}: {grown} kB");
    }
    for (reason, cut) in [("too_large", 12.0), ("too_much", 18.0), ("protocol", 0.0), ("stalled", 0.0)] {
        let series = format!("powerwall_server_websocket_clients_cut_total{{reason=\"{reason}\"}}");
        assert_eq!(metric(&program, &series).await, cut, "{reason}");
    }
    let lines = program.log().matches("live clients that send").count();
    assert_eq!(lines, 2, "one for each reason, however many clients: {}", program.log());
}

#[actix_web::test]
async fn a_thousand_live_clients_of_whom_a_hundred_never_read() {
    /// Fewer than one address may have.
    const EACH: usize = 100;
    rlimit::increase_nofile_limit(10_000).unwrap();
    let program = demo().await;
    let before = program.resident_kilobytes();
    let (mut reading, mut deaf) = (Vec::new(), Vec::new());
    for number in 0..1000 {
        let address = Ipv4Addr::new(127, 0, 0, 1 + u8::try_from(number / EACH).unwrap());
        let is_deaf = number % 10 == 0;
        let buffer = is_deaf.then_some(4096);
        let stream = open(program.addr, PATHS[number % 3], From { address, buffer }).await;
        match is_deaf {
            true => deaf.push(stream),
            false => reading.push(stream),
        }
    }
    let reading: Vec<_> = reading.into_iter().map(|stream| spawn_local(hears(stream, 5))).collect();
    for client in reading {
        timeout(PATIENCE, client).await.expect("everybody who reads gets what there is").unwrap();
    }
    assert_eq!(program.get("/aggregates").await.0, 200);
    let grown = program.resident_kilobytes().saturating_sub(before);
    assert!(grown < 80 << 10, "{grown} kB for a thousand clients");
    drop(deaf);
}

/// Reads until so many frames have come, and a moment longer so that nobody is asked to go meanwhile.
async fn hears(mut stream: TcpStream, frames: usize) {
    for _ in 0..frames {
        let (opcode, _) = server_frame(&mut stream).await.expect("it stays");
        assert_eq!(opcode, 1);
    }
}

/// How long a client of [`serve_with_a_short_stall_limit`] may take nothing.
const STALL_LIMIT: Duration = Duration::from_secs(3);
/// Long enough for everybody to be cut, and for every late look to be seen as one.
const STOPPED: Duration = Duration::from_secs(8);

/// Not a test: the program of the next one.
#[actix_web::test]
#[ignore = "runs until it is killed"]
async fn serve_with_a_short_stall_limit() {
    let environment = [("PW_HOST", "192.0.2.1"), ("PW_GW_PWD", "x"), ("PW_PORT", "0")];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let settings = Settings::load(&Inputs { environment, flags: Vec::new() }).unwrap();
    let service =
        Service::start_with(&settings, 1, Limits { stall: STALL_LIMIT, ..Limits::default() }).unwrap();
    println!("the test's own program listens on 127.0.0.1:{} for its clients", service.addr.port());
    std::future::pending::<()>().await;
}

#[actix_web::test]
async fn a_stop_and_continue_of_the_process_cuts_nobody() {
    let name = "live_clients::serve_with_a_short_stall_limit";
    let itself = std::env::current_exe().unwrap();
    let arguments = ["--exact", name, "--ignored", "--nocapture"];
    let program = Program::start_executable(&itself, &arguments, &[]).await;
    let mut clients = Vec::new();
    for path in ["/ws/live", "/ws/aggregate", "/ws/live", "/ws/aggregate"] {
        let mut stream = open(program.addr, path, From::HERE).await;
        server_frame(&mut stream).await.unwrap();
        clients.push(spawn_local(async move { while server_frame(&mut stream).await.is_some() {} }));
    }
    let mut events = TcpStream::connect(program.addr).await.unwrap();
    events.write_all(b"GET /sse/live HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    clients.push(spawn_local(async move {
        let mut bytes = [0; 4096];
        while events.read(&mut bytes).await.is_ok_and(|read| read > 0) {}
    }));

    for _ in 0..2 {
        program.signal("STOP").await;
        sleep(STOPPED).await;
        program.signal("CONT").await;
        // A client that joins now, and gets a beat of the second after, was not there when somebody was cut.
        let mut late = open(program.addr, "/ws/aggregate", From::HERE).await;
        for _ in 0..3 {
            server_frame(&mut late).await.unwrap();
        }
        for (number, client) in clients.iter().enumerate() {
            assert!(!client.is_finished(), "client {number}: {}", program.log());
        }
    }
    let cut = metric(&program, "powerwall_server_websocket_clients_cut_total{reason=\"stalled\"}").await;
    assert_eq!(cut, 0.0);
}
