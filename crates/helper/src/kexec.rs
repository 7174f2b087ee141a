//! The next kernel, loaded so that a reboot goes on with it at once, without the firmware.
#![expect(unsafe_code, reason = "kexec_file_load, which nix has not")]

use std::ffi::CString;
use std::fs::File;
use std::os::fd::AsRawFd;

/// Loads a kernel and its initrd with the command line of the kernel that runs: kexec_file_load(2).
///
/// # Errors
/// One sentence, where a file cannot be read or the kernel does not take them.
pub(crate) fn load(kernel: &str, initrd: &str) -> Result<(), String> {
    let open = |path: &str| File::open(path).map_err(|error| format!("{path} cannot be read: {error}"));
    let (kernel_file, initrd_file) = (open(kernel)?, open(initrd)?);
    let text = std::fs::read_to_string("/proc/cmdline")
        .map_err(|error| format!("the kernel's command line cannot be read: {error}"))?;
    let line =
        CString::new(text.trim()).map_err(|_| "the kernel's command line has a zero byte".to_owned())?;
    let (kernel_number, initrd_number) = (kernel_file.as_raw_fd(), initrd_file.as_raw_fd());
    let length_bytes = line.as_bytes_with_nul().len();
    // SAFETY: both descriptors are open and the line lives, with its zero byte, through the call, which keeps neither.
    let result = unsafe {
        libc::syscall(
            libc::SYS_kexec_file_load,
            kernel_number,
            initrd_number,
            length_bytes,
            line.as_ptr(),
            0_u64,
        )
    };
    if result < 0 {
        let error = std::io::Error::last_os_error();
        return Err(format!("the kernel does not take {kernel} as the next one: {error}"));
    }
    Ok(())
}
