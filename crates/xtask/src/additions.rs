//! What a test adds to a node: devices, options and ways into it.

/// What a node has that others have not.
#[derive(Clone, Debug, Default)]
pub struct Additions {
    /// Arguments of QEMU, for more devices.
    pub devices: Vec<String>,
    /// More options of the kernel.
    pub kernel_options: String,
    /// More ports of the loopback that lead into the guest: outside, inside.
    pub forwards: Vec<(u16, u16)>,
    /// Memory of one drive's process, in MiB; init's own choice where it is not given.
    pub drive_memory_mib: Option<u64>,
    /// More of the node's configuration, `node.toml`: whole tables, at its end.
    pub configuration: String,
    /// More network cards on the wire of the first one.
    pub more_cards: u32,
    /// Its network has no IPv4: no port leads into the guest then, which QEMU forwards over IPv4 alone.
    pub ipv6_only: bool,
}
