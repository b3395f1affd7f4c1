use super::*;
use std::io::Write as _;

#[test]
fn addresses_of_this_machine_and_its_network_are_told_from_public_ones() {
    for inside in [
        "http://127.0.0.1:8/x",
        "http://2130706433/",
        "http://0x7f.1/",
        "http://localhost/",
        "http://LOCALHOST./",
        "http://x.localhost/",
        "http://intranet/",
        "http://10.1.2.3/",
        "http://172.31.0.1/",
        "http://192.168.0.1/",
        "http://169.254.169.254/",
        "http://100.64.0.1/",
        "http://0.0.0.0/",
        "http://[::1]/",
        "http://[::ffff:10.0.0.1]/",
        "http://[fe80::1]/",
        "http://[fd00::1]/",
        "http://printer.local/",
    ] {
        assert!(is_inside_address(inside), "{inside}");
    }
    for public in [
        "http://example.org/",
        "https://8.8.8.8/",
        "http://172.32.0.1/",
        "http://100.128.0.1/",
        "http://[2001:db8::1]/",
        "not an address",
    ] {
        assert!(!is_inside_address(public), "{public}");
    }
    assert_eq!(host("http://EXAMPLE.org:80/x").unwrap(), "example.org");
}

/// Ten bytes, each well within the limit, together far beyond it.
#[test]
fn an_answer_that_drips_ends_with_the_time_for_the_exchange() {
    let limit = Duration::from_millis(500);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = [0; 1024];
        assert!(stream.read(&mut head).unwrap() > 0);
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n";
        stream.write_all(answer.as_bytes()).unwrap();
        // Until the client has gone.
        while stream.write_all(b"x").is_ok() {
            std::thread::sleep(limit / 2);
        }
    });
    let client = Client::loopback(&Settings {
        connect_timeout: limit,
        timeout: limit,
        ..Settings::default()
    });
    let answer = client.unwrap().send(Request {
        url: &url,
        headers: &[],
        body: None,
        answer_bytes_max: 100,
    });
    assert!(
        matches!(answer, Err(HttpError::AnswerLost { .. })),
        "{answer:?}"
    );
}
