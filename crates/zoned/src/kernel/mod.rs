//! The host-managed drives of this machine.
