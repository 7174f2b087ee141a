//! The thread that carries out orders to zones, which block.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};

use nix::errno::Errno;

use crate::kernel::{errno, ioctl};
use crate::{Condition, DeviceError, Geometry, Token, Waker, ZoneOperation};

/// An order in flight.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Order {
    pub(crate) token: Token,
    pub(crate) zone: u32,
    pub(crate) operation: ZoneOperation,
}

/// The end of an order.
pub(crate) struct OrderEnded {
    pub(crate) order: Order,
    pub(crate) result: Result<(), DeviceError>,
}

/// The helper thread of one device. It takes orders one after another, and wakes the device's thread after each.
pub(crate) struct ZoneWorker {
    /// `None` only while it is dropped.
    orders: Option<Sender<Order>>,
    ended: Receiver<OrderEnded>,
    in_flight: usize,
    thread: Option<JoinHandle<()>>,
}

impl ZoneWorker {
    pub(crate) fn start(file: Arc<File>, geometry: Geometry, waker: Waker) -> io::Result<Self> {
        let (orders, taken) = mpsc::channel::<Order>();
        let (ends, ended) = mpsc::channel();
        let thread = thread::Builder::new().name("imbrex-zones".to_owned()).spawn(move || {
            for order in taken {
                let result = carry_out(file.as_fd(), &geometry, order);
                // Where nobody listens any more, nobody waits for the end either.
                let _ = ends.send(OrderEnded { order, result });
                waker.wake();
            }
        })?;
        Ok(Self { orders: Some(orders), ended, in_flight: 0, thread: Some(thread) })
    }

    /// How many orders have been submitted and not yet taken back by [`ZoneWorker::ended`].
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Hands an order to the thread. Whoever calls it bounds the number in flight.
    pub(crate) fn submit(&mut self, order: Order) -> Result<(), DeviceError> {
        let sent = self.orders.as_ref().is_some_and(|orders| orders.send(order).is_ok());
        if !sent {
            let errno = Errno::EPIPE as i32;
            return Err(DeviceError::System { operation: "handing an order to its thread", errno });
        }
        self.in_flight += 1;
        Ok(())
    }

    /// The next order that has ended, if any has.
    pub(crate) fn ended(&mut self) -> Option<OrderEnded> {
        let ended = self.ended.try_recv().ok()?;
        self.in_flight -= 1;
        Some(ended)
    }
}

impl Drop for ZoneWorker {
    /// Waits for the orders in flight, so that the drive is closed when its device is gone.
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            // It has nothing that could panic, and nobody to tell if it had.
            let _ = thread.join();
        }
    }
}

fn carry_out(device: BorrowedFd<'_>, geometry: &Geometry, order: Order) -> Result<(), DeviceError> {
    let Order { zone, operation, .. } = order;
    let Err(failed) = ioctl::order_zone(device, geometry, zone, operation) else { return Ok(()) };
    let error = errno::of_order(failed, zone);
    if !matches!(error, DeviceError::System { .. }) {
        return Err(error);
    }
    // A drive answers most refusals alike: the zone's condition tells them apart.
    let condition = ioctl::report_zones(device, geometry, zone, 1).ok();
    let condition = condition.and_then(|zones| Some(zones.first()?.condition));
    match condition.filter(|&condition| forbids(condition, operation)) {
        Some(condition) => Err(DeviceError::ZoneCondition { zone, condition }),
        None => Err(error),
    }
}

/// Whether the condition explains that a drive refuses the order.
fn forbids(condition: Condition, operation: ZoneOperation) -> bool {
    match condition {
        Condition::NotWritePointer | Condition::ReadOnly | Condition::Offline => true,
        Condition::Full => matches!(operation, ZoneOperation::Open | ZoneOperation::Close),
        Condition::Empty => operation == ZoneOperation::Close,
        Condition::ImplicitOpen | Condition::ExplicitOpen | Condition::Closed => false,
    }
}
