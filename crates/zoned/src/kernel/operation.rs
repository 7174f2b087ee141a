//! One operation in flight, which may take the kernel several parts.

use io_uring::{opcode, squeue, types};
use nix::errno::Errno;

use crate::{Buffer, Token};

/// The ring's registered files.
pub(crate) const DRIVE_FILE: types::Fixed = types::Fixed(0);
pub(crate) const WAKE_FILE: types::Fixed = types::Fixed(1);
/// The pool is registered in pieces of this size: the kernel's limit for one registered buffer.
pub(crate) const PIECE_BYTES: usize = 1 << 30;

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Read,
    Write,
    Flush,
}

/// An operation, from its submission to its end. It owns its buffer all the while.
#[derive(Debug)]
pub(crate) struct Operation {
    pub(crate) token: Token,
    pub(crate) action: Action,
    pub(crate) offset_bytes: u64,
    pub(crate) length_bytes: usize,
    /// `None` for a flush.
    pub(crate) buffer: Option<Buffer>,
    /// How many bytes the kernel has transferred.
    done_bytes: usize,
    /// The largest part that the kernel is given.
    part_bytes_max: usize,
}

/// What the kernel is given at once.
#[derive(Debug, PartialEq, Eq)]
struct Part {
    /// Where it begins in the buffer.
    within_bytes: usize,
    length_bytes: u32,
    /// The registered piece of the pool in which it lies.
    piece: u16,
    /// Where it begins on the drive.
    offset_bytes: u64,
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
        Self { token, action, offset_bytes, length_bytes, buffer, done_bytes: 0, part_bytes_max }
    }

    pub(crate) fn flush(token: Token) -> Self {
        Self {
            token,
            action: Action::Flush,
            offset_bytes: 0,
            length_bytes: 0,
            buffer: None,
            done_bytes: 0,
            part_bytes_max: 0,
        }
    }

    /// The entry of the next part. Who submits it must keep this operation until the kernel has answered.
    pub(crate) fn entry(&mut self) -> squeue::Entry {
        let Part { within_bytes, length_bytes, piece, offset_bytes } = self.next_part();
        let Some(buffer) = &mut self.buffer else {
            return opcode::Fsync::new(DRIVE_FILE).flags(types::FsyncFlags::DATASYNC).build();
        };
        let start = buffer.start().as_ptr().wrapping_add(within_bytes);
        match self.action {
            Action::Write => {
                let write = opcode::WriteFixed::new(DRIVE_FILE, start, length_bytes, piece);
                write.offset(offset_bytes).build()
            }
            _ => {
                let read = opcode::ReadFixed::new(DRIVE_FILE, start, length_bytes, piece);
                read.offset(offset_bytes).build()
            }
        }
    }

    /// The next part: it lies within the buffer, since what is done is at most the length of the operation, and that
    /// at most the buffer's; and within one piece of the pool.
    fn next_part(&self) -> Part {
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
        if self.done_bytes >= self.length_bytes {
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
