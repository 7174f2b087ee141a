use crate::support::node::{Node, Setup};
use crate::support::payload::{bytes_of, path_of};

#[test]
fn a_deleted_block_is_gone_and_its_key_can_be_used_again() {
    let node = Node::start(Setup::default());
    let mut client = node.client();
    let path = path_of(1);
    assert_eq!(client.put(&path, &bytes_of(1, 9_000)).unwrap().status, 201);
    let first = client.get(&path).unwrap();
    assert_eq!(client.delete(&path).unwrap().status, 204);
    assert_eq!(client.get(&path).unwrap().status, 404);
    assert_eq!(client.delete(&path).unwrap().status, 404);
    assert_eq!(client.put(&path, &bytes_of(2, 9_000)).unwrap().status, 201);
    let second = client.get(&path).unwrap();
    assert!(second.body == bytes_of(2, 9_000));
    assert_ne!(first.header("etag"), second.header("etag"));
}

#[test]
fn a_deletion_under_a_condition_is_refused_instead_of_carried_out() {
    let node = Node::start(Setup::default());
    node.put(&path_of(1), b"x");
    let answer = node.client().request("DELETE", &path_of(1), &[("If-Match", "\"other\"")], None).unwrap();
    assert_eq!(answer.status, 400);
    assert_eq!(node.client().get(&path_of(1)).unwrap().status, 200);
}
