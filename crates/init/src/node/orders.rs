//! The control socket's clients, and the orders that they give.

use super::{Connection, Ending, Node, Source, control, platform, status};
use crate::control::{Progress, Request};
use crate::supervisor::orders::Order;
use nix::sys::epoll::{EpollEvent, EpollFlags};
use std::os::fd::AsFd;

/// The most requests of one client in one turn.
const REQUESTS_MAX: usize = 16;

impl Node {
    /// Takes new clients.
    pub(super) fn accept(&mut self) {
        for _ in 0..control::CONNECTIONS_MAX {
            let Ok((stream, _)) = self.control.accept() else { return };
            if stream.set_nonblocking(true).is_err() {
                continue;
            }
            self.make_room();
            let connection = Connection::new(stream, platform::now_ms());
            if let Err(error) = self.watch(Source::Connection(connection)) {
                self.record(&format!("a client of the control socket cannot be served: {error}"));
            }
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

    /// Reads a client's requests and answers them.
    pub(super) fn serve(&mut self, token: u64) {
        let mut waiting = false;
        for _ in 0..REQUESTS_MAX {
            let Some(Source::Connection(connection)) = self.sources.get_mut(&token) else { return };
            connection.active_ms = platform::now_ms();
            match connection.advance() {
                Progress::Request(line) => self.answer(token, &line),
                Progress::Close => {
                    self.sources.remove(&token);
                    return;
                }
                Progress::Wait => {
                    waiting = true;
                    break;
                }
            }
        }
        let Some(Source::Connection(connection)) = self.sources.get(&token) else { return };
        // An answer that does not fit waits until there is room, and nothing is read meanwhile.
        // Requests that were read and not answered in this turn come in the next.
        let flags =
            if connection.answering() || !waiting { EpollFlags::EPOLLOUT } else { EpollFlags::EPOLLIN };
        if self.epoll.modify(connection.as_fd(), &mut EpollEvent::new(flags, token)).is_err() {
            self.sources.remove(&token);
        }
    }

    fn answer(&mut self, token: u64, line: &[u8]) {
        let (answer, ending) = match Request::parse(line) {
            Ok(Request::Status) => (self.status(), None),
            Ok(Request::Log { service }) => (self.log(&service), None),
            Ok(Request::Restart { service, force }) => (self.order(&service, Order::Restart { force }), None),
            Ok(Request::Start { service }) => (self.order(&service, Order::Start), None),
            Ok(Request::Poweroff) => (accepted(), Some(Ending::PowerOff)),
            Ok(Request::Reboot) => (accepted(), Some(Ending::Reboot)),
            Err(error) => (status::refusal(&error), None),
        };
        if let Some(Source::Connection(connection)) = self.sources.get_mut(&token) {
            connection.answer(answer, false);
            connection.write_some();
        }
        if let Some(ending) = ending {
            self.shut_down(ending);
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
