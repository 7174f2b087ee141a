use crate::support::node::{Node, Setup};
use crate::support::payload::path_of;

const BODY: &[u8] = b"123456789";
const SHA256: &str = "sha-256=:FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU=:";
const CRC32C: &str = "crc32c=:4waSgw==:";

#[test]
fn right_digests_are_taken_wrong_ones_are_400_and_nothing_is_kept() {
    let node = Node::start(Setup::default());
    let put = |seed: u64, digest: &str, body: &[u8]| {
        node.client().request("PUT", &path_of(seed), &[("Content-Digest", digest)], Some(body)).unwrap()
    };
    assert_eq!(put(1, SHA256, BODY).status, 201);
    assert_eq!(put(2, CRC32C, BODY).status, 201);
    assert_eq!(put(3, &format!("{SHA256}, {CRC32C}"), BODY).status, 201);
    assert_eq!(put(4, "md5=:AAAA:, sha-512=:AAAA:", BODY).status, 201);
    for (seed, digest) in [(5, SHA256), (6, CRC32C), (7, &format!("{SHA256}, crc32c=:jq5osQ==:"))] {
        let answer = put(seed, digest, b"123456780");
        assert_eq!((answer.status, answer.kind().as_str()), (400, "digest-mismatch"), "{digest}");
        assert_eq!(node.client().get(&path_of(seed)).unwrap().status, 404);
    }
    for digest in ["sha-256", "sha-256=:?:", "sha-256=:AAAA:", "crc32c=4waSgw=="] {
        let answer = put(8, digest, BODY);
        assert_eq!((answer.status, answer.kind().as_str()), (400, "bad-request"), "{digest}");
    }
    assert_eq!(node.client().get(&path_of(8)).unwrap().status, 404);
}

#[test]
fn after_a_wrong_digest_the_connection_serves_on() {
    let node = Node::start(Setup::default());
    let mut client = node.client();
    let wrong = client.request("PUT", &path_of(1), &[("Content-Digest", CRC32C)], Some(b"x")).unwrap();
    assert_eq!(wrong.status, 400);
    assert_eq!(client.put(&path_of(1), b"x").unwrap().status, 201);
}
