//! What actix-web can do at best: one handler that returns bytes, with as many workers as the service has.

use std::net::TcpListener;

use actix_web::web::{self, Bytes, Data};
use actix_web::{App, HttpResponse, HttpServer};

/// First argument of the process that serves this.
pub const ROLE: &str = "bare-handler";

async fn answer(body: Data<Bytes>) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(Bytes::clone(&body))
}

/// Serves the content of the file until it is killed; prints its address as the service does.
pub fn serve(file: &str) {
    let body = Data::new(Bytes::from(std::fs::read(file).expect("the file was written before")));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port is free");
    println!("it listens on {} and does nothing else", listener.local_addr().expect("it listens"));
    let server = HttpServer::new(move || App::new().app_data(body.clone()).route("/", web::get().to(answer)));
    let server = server.workers(2).listen(listener).expect("threads can be started").run();
    actix_web::rt::System::new().block_on(server).expect("it serves");
}
