//! An init that says what a test wants and remembers what it was asked.

use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

/// What the fake says and heard.
pub(crate) struct FakeInit {
    state: Arc<Mutex<State>>,
}

struct State {
    status: Value,
    orders: Vec<Value>,
}

/// A status with these services and drives.
pub(crate) fn status(services: &[Value], drives: &[Value]) -> Value {
    json!({
        "ok": true,
        "node": {"state": "running", "reason": null, "config_url": "http://192.0.2.1/node.toml", "uptime_ms": 12_345,
            "helpers_stuck": 2},
        "boot": [{"stage": "network", "started_ms": 800, "took_ms": 1200, "outcome": "done", "detail": null}],
        "services": services,
        "drives": drives,
    })
}

/// A service of init's status.
pub(crate) fn service(name: &str, state: &str) -> Value {
    json!({"name": name, "state": state, "pid": 7, "restarts": 2, "since_ms": 5, "last_exit": "killed by signal 9",
        "rss_bytes": 1 << 20, "reason": "it ended 5 times in 10 min", "last_lines": ["a last line"]})
}

/// A drive of init's status; its socket is in `run_dir`.
pub(crate) fn drive(id: &str, run_dir: &Path) -> Value {
    json!({"id": id, "device": format!("/dev/{id}"), "port": 7500, "socket": run_dir.join(format!("drive-{id}.sock")),
        "service": format!("drive@{id}"), "model": "init's model", "serial": "init's serial"})
}

impl FakeInit {
    /// Listens in `run_dir` and says `status`.
    pub(crate) fn start(run_dir: &Path, status: Value) -> Self {
        let listener = UnixListener::bind(run_dir.join("init.sock")).unwrap();
        let state = Arc::new(Mutex::new(State { status, orders: Vec::new() }));
        tokio::spawn({
            let state = Arc::clone(&state);
            async move {
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    tokio::spawn(converse(stream, Arc::clone(&state)));
                }
            }
        });
        Self { state }
    }

    /// Says something else from now on.
    pub(crate) fn say(&self, status: Value) {
        self.state.lock().unwrap().status = status;
    }

    /// What it was ordered, other than to tell.
    pub(crate) fn orders(&self) -> Vec<Value> {
        self.state.lock().unwrap().orders.clone()
    }
}

async fn converse(stream: UnixStream, state: Arc<Mutex<State>>) {
    let (reader, mut writer) = stream.into_split();
    let mut lines = BufReader::new(reader).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let request: Value = serde_json::from_str(&line).unwrap();
        let answer = match request["op"].as_str().unwrap() {
            "status" => state.lock().unwrap().status.clone(),
            "log" => json!({"ok": true, "lines": ["one", "two"], "lost": 3}),
            _ if request["service"] == "drive@refused" => {
                json!({"ok": false, "error": "it cannot be restarted now."})
            }
            _ => {
                state.lock().unwrap().orders.push(request);
                json!({"ok": true})
            }
        };
        if writer.write_all(format!("{answer}\n").as_bytes()).await.is_err() {
            return;
        }
    }
}
