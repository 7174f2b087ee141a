//! The control socket's clients, and the orders that they give.

use super::{Connection, Ending, Node, Source, control, platform, status};
use crate::control::Request;
use crate::supervisor::orders::Order;
use nix::sys::epoll::{EpollEvent, EpollFlags};

impl Node {
    /// Takes new clients.
    pub(super) fn accept(&mut self) {
        for _ in 0..control::CONNECTIONS_MAX {
            let Ok((stream, _)) = self.control.accept() else { return };
            if stream.set_nonblocking(true).is_err() {
                continue;
            }
            self.make_room();
            self.watch(Source::Connection(Connection::new(stream, platform::now_ms())));
        }
    }

    /// Closes the client that has been silent longest, where all places are taken.
    fn make_room(&mut self) {
        let clients = || {
            self.sources.iter().filter_map(|(token, source)| match source {
                Source::Connection(connection) => Some((connection.active_ms, *token)),
                _ => None,
            })
        };
        let full = clients().count() >= control::CONNECTIONS_MAX;
        if let Some((_, token)) = clients().min().filter(|_| full) {
            self.sources.remove(&token);
        }
    }

    /// Reads a client's request, and answers it.
    pub(super) fn serve(&mut self, token: u64) {
        let Some(Source::Connection(connection)) = self.sources.get_mut(&token) else { return };
        connection.active_ms = platform::now_ms();
        let mut ending = None;
        if !connection.answering() {
            let line = match connection.read() {
                Ok(Some(line)) => line,
                Ok(None) => return,
                Err(_) => return drop(self.sources.remove(&token)),
            };
            let (answer, then) = self.answer(&line);
            ending = then;
            if let Some(Source::Connection(connection)) = self.sources.get_mut(&token) {
                connection.answer(answer);
            }
        }
        let Some(Source::Connection(connection)) = self.sources.get_mut(&token) else { return };
        // An answer that does not fit waits until there is room.
        let waits = matches!(connection.write(), Ok(false));
        let mut event = EpollEvent::new(EpollFlags::EPOLLOUT, token);
        if !waits || self.epoll.modify(&connection.stream, &mut event).is_err() {
            self.sources.remove(&token);
        }
        if let Some(ending) = ending {
            self.shut_down(ending);
        }
    }

    /// The answer, and the node's end where that was ordered.
    fn answer(&mut self, line: &[u8]) -> (Vec<u8>, Option<Ending>) {
        match Request::parse(line) {
            Ok(Request::Status) => (self.status(), None),
            Ok(Request::Log { service, from }) => (self.log(&service, from), None),
            Ok(Request::Restart { service, force }) => (self.order(&service, Order::Restart { force }), None),
            Ok(Request::Start { service }) => (self.order(&service, Order::Start), None),
            Ok(Request::Poweroff) => (accepted(), Some(Ending::PowerOff)),
            Ok(Request::Reboot) => (accepted(), Some(Ending::Reboot)),
            Ok(Request::Kexec) if !platform::next_kernel_is_loaded() => {
                (status::refusal("no kernel was loaded to go on with"), None)
            }
            Ok(Request::Kexec) => (accepted(), Some(Ending::Kexec)),
            Err(error) => (status::refusal(&error), None),
        }
    }

    fn order(&mut self, service: &str, order: Order) -> Vec<u8> {
        match self.supervisor.order(service, order, platform::now_ms()) {
            Ok(actions) => {
                self.record(&format!("ordered: {order:?} of {service}"));
                self.carry_out(actions);
                accepted()
            }
            Err(error) => status::refusal(&error),
        }
    }
}

fn accepted() -> Vec<u8> {
    br#"{"ok":true}"#.to_vec()
}
