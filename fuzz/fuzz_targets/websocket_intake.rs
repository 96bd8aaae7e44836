#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| powerwall_server_fuzz::bodies::websocket_intake(data));
