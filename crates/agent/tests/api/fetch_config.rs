//! The subcommand by which init gets the node's configuration.

use std::path::Path;
use std::process::Output;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::process::Command;

use crate::process::end_of;

/// Serves `answer`, word for word, to whoever connects, and closes; where it is empty, says nothing for ever.
pub(crate) async fn server(answer: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/node.toml", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            let length = stream.read(&mut request).await.unwrap();
            assert!(request[..length].starts_with(b"GET /node.toml HTTP/1.1\r\n"));
            if answer.is_empty() {
                std::future::pending::<()>().await;
            }
            stream.write_all(&answer).await.ok();
        }
    });
    url
}

pub(crate) fn ok(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

async fn fetch(url: &str, out: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_imbrex-agent"));
    command.args(["fetch-config", "--deadline-s", "2", "--url", url, "--out"]).arg(out);
    end_of(&mut command).await
}

#[tokio::test]
async fn a_good_configuration_is_written_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("node.toml");
    let text = "# kept\nname = \"demo\"\n[drives]\nport_first = 7500\n";
    let output = fetch(&server(ok(text)).await, &out).await;
    assert!(output.status.success(), "{output:?}");
    assert_eq!(std::fs::read_to_string(&out).unwrap(), text);
    let without_length = b"HTTP/1.0 200 OK\r\n\r\nname = \"to-the-end\"".to_vec();
    let output = fetch(&server(without_length).await, &out).await;
    assert!(output.status.success(), "{output:?}");
    assert_eq!(std::fs::read_to_string(&out).unwrap(), "name = \"to-the-end\"");
}

#[tokio::test]
async fn anything_else_is_refused_in_one_sentence_and_the_old_file_stays() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("node.toml");
    std::fs::write(&out, "name = \"old\"").unwrap();
    // Taken and never listened on: nobody else gets that port meanwhile.
    let silent = tokio::net::TcpSocket::new_v4().unwrap();
    silent.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let refused_address = silent.local_addr().unwrap();
    for (url, word) in [
        (server(ok("name = \"a\"\ncolour = \"red\"")).await, "colour"),
        (server(ok("")).await, "name"),
        (server(ok(&format!("name = \"a\" # {}", "x".repeat(70_000)))).await, "65536"),
        (server(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec()).await, "404"),
        (server(b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n".to_vec()).await, "302"),
        (server(b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\nname = \"a\"".to_vec()).await, "broke off"),
        (server(b"SSH-2.0-other\r\n".to_vec()).await, "HTTP"),
        (server(Vec::new()).await, "within 2 s"),
        (format!("http://{refused_address}/node.toml"), "no connection"),
        ("https://127.0.0.1/node.toml".to_owned(), "http://HOST"),
    ] {
        let output = fetch(&url, &out).await;
        let sentence = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && sentence.contains(word), "no {word} in {sentence:?}");
        assert_eq!(sentence.lines().count(), 1, "{sentence:?}");
    }
    assert_eq!(std::fs::read_to_string(&out).unwrap(), "name = \"old\"");
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
}
