//! One operation in flight, which may take the kernel several parts.

use io_uring::{opcode, squeue, types};
use nix::errno::Errno;
use nix::libc;

use crate::{Buffer, Token};

/// The ring's registered files.
pub(crate) const DRIVE_FILE: types::Fixed = types::Fixed(0);
pub(crate) const WAKE_FILE: types::Fixed = types::Fixed(1);
/// Only of a drive file: the same file, through the page cache.
pub(crate) const TABLE_FILE: types::Fixed = types::Fixed(2);
/// The pool is registered in pieces of this size: the kernel's limit for one registered buffer.
pub(crate) const PIECE_BYTES: usize = 1 << 30;

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Read,
    Write,
    Flush,
    /// Writes the operation's record through the page cache. Of drive files alone, as what follows.
    Save,
    /// Takes room for a range of the file.
    Reserve,
    /// Gives the room of a range back: it reads as zeros.
    Discard,
}

/// An operation, from its submission to its end. It owns its buffer all the while.
#[derive(Debug)]
pub(crate) struct Operation {
    pub(crate) token: Token,
    pub(crate) action: Action,
    pub(crate) offset_bytes: u64,
    pub(crate) length_bytes: usize,
    /// Of a read or a write.
    pub(crate) buffer: Option<Buffer>,
    /// What [`Action::Save`] writes. It stays where it is in memory when the operation is moved.
    record: Option<Box<[u8]>>,
    /// How many bytes the kernel has transferred.
    done_bytes: usize,
    /// The largest part that the kernel is given.
    part_bytes_max: usize,
}

/// What the kernel is given at once.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// Where it begins in the memory.
    pub(crate) within_bytes: usize,
    pub(crate) length_bytes: u32,
    /// The registered piece of the pool in which it lies.
    piece: u16,
    /// Where it begins in the file.
    pub(crate) offset_bytes: u64,
}

/// What one answer of the kernel means for its operation.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// The next part has to be submitted.
    Continues,
    Ended(Result<(), Failure>),
}

/// Why an operation ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    Errno(Errno),
    /// Nothing was transferred: the drive ends before the range, so that it is not the drive that was opened.
    PastEnd,
}

impl Operation {
    pub(crate) fn transfer(
        token: Token,
        action: Action,
        offset_bytes: u64,
        buffer: Buffer,
        length_bytes: usize,
        part_bytes_max: usize,
    ) -> Self {
        let length_bytes = length_bytes.min(buffer.len());
        let buffer = Some(buffer);
        let operation = Self::of_range(token, action, offset_bytes, length_bytes);
        Self { buffer, part_bytes_max, ..operation }
    }

    pub(crate) fn flush(token: Token) -> Self {
        Self::of_range(token, Action::Flush, 0, 0)
    }

    /// Writes `record` to a drive file's table.
    pub(crate) fn save(token: Token, offset_bytes: u64, record: Box<[u8]>) -> Self {
        let operation = Self::of_range(token, Action::Save, offset_bytes, record.len());
        Self { record: Some(record), part_bytes_max: PIECE_BYTES, ..operation }
    }

    /// An operation that needs no memory.
    pub(crate) fn of_range(token: Token, action: Action, offset_bytes: u64, length_bytes: usize) -> Self {
        Self {
            token,
            action,
            offset_bytes,
            length_bytes,
            buffer: None,
            record: None,
            done_bytes: 0,
            part_bytes_max: 0,
        }
    }

    /// The entry of the next part. Who submits it must keep this operation until the kernel has answered.
    pub(crate) fn entry(&mut self) -> squeue::Entry {
        let Part { within_bytes, length_bytes, piece, offset_bytes } = self.next_part();
        let start = self.memory().wrapping_add(within_bytes);
        match self.action {
            Action::Read => {
                let read = opcode::ReadFixed::new(DRIVE_FILE, start, length_bytes, piece);
                read.offset(offset_bytes).build()
            }
            Action::Write => {
                let write = opcode::WriteFixed::new(DRIVE_FILE, start, length_bytes, piece);
                write.offset(offset_bytes).build()
            }
            Action::Save => opcode::Write::new(TABLE_FILE, start, length_bytes).offset(offset_bytes).build(),
            Action::Flush => opcode::Fsync::new(DRIVE_FILE).flags(types::FsyncFlags::DATASYNC).build(),
            Action::Reserve | Action::Discard => {
                let range = opcode::Fallocate::new(DRIVE_FILE, self.length_bytes as u64);
                range.offset(offset_bytes).mode(self.allocation_mode()).build()
            }
        }
    }

    /// The mode of fallocate(2).
    pub(crate) fn allocation_mode(&self) -> i32 {
        match self.action {
            Action::Discard => libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE,
            _ => libc::FALLOC_FL_KEEP_SIZE,
        }
    }

    /// The first byte of the operation's memory: null where it has none.
    pub(crate) fn memory(&mut self) -> *mut u8 {
        match (&mut self.buffer, &mut self.record) {
            (Some(buffer), _) => buffer.start().as_ptr(),
            (None, Some(record)) => record.as_mut_ptr(),
            (None, None) => std::ptr::null_mut(),
        }
    }

    /// The next part: it lies within the buffer, since what is done is at most the length of the operation, and that
    /// at most the memory's; and within one piece of the pool.
    pub(crate) fn next_part(&self) -> Part {
        let begin = self.buffer.as_ref().map_or(0, Buffer::offset_in_pool_bytes) + self.done_bytes;
        let length = (self.length_bytes - self.done_bytes)
            .min(self.part_bytes_max)
            .min(PIECE_BYTES - begin % PIECE_BYTES);
        Part {
            within_bytes: self.done_bytes,
            length_bytes: u32::try_from(length).expect("a part is at most a piece of the pool"),
            piece: u16::try_from(begin / PIECE_BYTES).expect("the kernel has taken as many pieces"),
            offset_bytes: self.offset_bytes + self.done_bytes as u64,
        }
    }

    /// Takes the kernel's answer to the last part: a number of bytes, or a negated error number.
    pub(crate) fn answered(&mut self, answer: i32) -> Progress {
        let Ok(transferred) = usize::try_from(answer) else {
            return match Errno::from_raw(answer.saturating_neg()) {
                // Interrupted before anything was transferred.
                Errno::EINTR | Errno::EAGAIN => Progress::Continues,
                errno => Progress::Ended(Err(Failure::Errno(errno))),
            };
        };
        self.done_bytes += transferred;
        let transfers = matches!(self.action, Action::Read | Action::Write | Action::Save);
        if !transfers || self.done_bytes >= self.length_bytes {
            Progress::Ended(Ok(()))
        } else if transferred == 0 {
            Progress::Ended(Err(Failure::PastEnd))
        } else {
            Progress::Continues
        }
    }
}

#[cfg(test)]
mod tests {
    use nix::errno::Errno;

    use super::{Action, Failure, Operation, Part, Progress};
    use crate::{BufferPool, Token};

    fn write(pool: &BufferPool) -> Operation {
        let buffer = pool.try_allocate(16384).unwrap();
        Operation::transfer(Token(1), Action::Write, 4096, buffer, 16384, 8192)
    }

    #[test]
    fn a_short_answer_is_continued_where_it_ended() {
        let pool = BufferPool::new(16384).unwrap();
        let mut operation = write(&pool);
        let part = |within_bytes, length_bytes, offset_bytes| Part {
            within_bytes,
            length_bytes,
            piece: 0,
            offset_bytes,
        };
        assert_eq!(operation.next_part(), part(0, 8192, 4096));
        assert_eq!(operation.answered(4096), Progress::Continues);
        assert_eq!(operation.next_part(), part(4096, 8192, 8192));
        assert_eq!(operation.answered(8192), Progress::Continues);
        assert_eq!(operation.next_part(), part(12288, 4096, 16384));
        assert_eq!(operation.answered(4096), Progress::Ended(Ok(())));
    }

    #[test]
    fn an_interruption_is_no_end_and_an_answer_of_nothing_is() {
        let pool = BufferPool::new(16384).unwrap();
        let mut operation = write(&pool);
        assert_eq!(operation.answered(-(Errno::EINTR as i32)), Progress::Continues);
        assert_eq!(operation.answered(0), Progress::Ended(Err(Failure::PastEnd)));
        let failed = Progress::Ended(Err(Failure::Errno(Errno::EIO)));
        assert_eq!(operation.answered(-(Errno::EIO as i32)), failed);
        assert_eq!(Operation::flush(Token(2)).answered(0), Progress::Ended(Ok(())));
    }
}
