//! One end of a pair without blocking, and waiting for many.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::dialect::{Codec, End, Template, payload};

/// Bytes read, or made ready to be written, at once.
pub(super) const CHUNK: usize = 256 * 1024;

/// One end.
pub(super) struct Link {
    pub(super) stream: TcpStream,
    codec: Box<dyn Codec>,
    out: Vec<u8>,
    written: usize,
}

impl Link {
    pub(super) fn new(end: End) -> io::Result<Self> {
        end.stream.set_nonblocking(true)?;
        Ok(Self { stream: end.stream, codec: end.codec, out: Vec::new(), written: 0 })
    }

    /// A frame that carries so many bytes.
    pub(super) fn template(&self, len: usize) -> Template {
        self.codec.template(&payload(len))
    }

    /// Bytes that wait to be written.
    pub(super) fn pending(&self) -> usize {
        self.out.len() - self.written
    }

    /// Makes a frame ready to be written.
    pub(super) fn push(&mut self, template: &Template, number: u64) {
        template.append(&mut self.out, number);
    }

    /// Takes back what was not begun to be written, of frames that are this long each; says how many frames are left out.
    pub(super) fn take_back(&mut self, frame: usize) -> u64 {
        let begun = self.pending() % frame;
        let left_out = (self.pending() - begun) / frame;
        self.out.truncate(self.written + begun);
        left_out as u64
    }

    /// Writes as much as is taken; says whether that was anything.
    pub(super) fn flush(&mut self) -> io::Result<bool> {
        let mut any = false;
        while self.pending() > 0 {
            match self.stream.write(&self.out[self.written..]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => {
                    self.written += written;
                    any = true;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        if self.pending() == 0 {
            self.out.clear();
            self.written = 0;
        } else if self.written > 4 * CHUNK {
            self.out.drain(..self.written);
            self.written = 0;
        }
        Ok(any)
    }

    /// Reads once; says whether anything came.
    pub(super) fn read(&mut self, buffer: &mut [u8], got: &mut dyn FnMut(u64)) -> io::Result<bool> {
        match self.stream.read(buffer) {
            Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                self.codec.feed(&buffer[..read], got)?;
                let replies = self.codec.replies();
                if !replies.is_empty() {
                    self.out.extend_from_slice(&replies);
                    self.flush()?;
                }
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Sends a small message to the other end and waits for it.
    pub(super) fn greet(&mut self, other: &mut Self) -> io::Result<()> {
        let template = self.template(64);
        self.push(&template, 0);
        self.flush()?;
        let (mut buffer, mut came) = ([0; 4096], false);
        while !came {
            if !other.read(&mut buffer, &mut |_| came = true)? && !wait(None, Some(other))? {
                return Err(super::stalled("the first message"));
            }
        }
        Ok(())
    }
}

/// Waits until one can be written to or the other can be read, for two seconds at most; says whether that came.
pub(super) fn wait(write: Option<&Link>, read: Option<&Link>) -> io::Result<bool> {
    let mut polled: Vec<PollFd<'_>> = Vec::with_capacity(2);
    polled.extend(write.map(|link| PollFd::new(&link.stream, PollFlags::OUT)));
    polled.extend(read.map(|link| PollFd::new(&link.stream, PollFlags::IN)));
    Ok(poll(&mut polled, Some(&timespec(Duration::from_secs(2))))? > 0)
}

fn timespec(time: Duration) -> Timespec {
    Timespec { tv_sec: time.as_secs() as i64, tv_nsec: time.subsec_nanos().into() }
}

/// What a link is watched for.
#[derive(Clone, Copy)]
pub(super) struct Interest {
    pub(super) read: bool,
    pub(super) write: bool,
}

impl From<Interest> for EventFlags {
    fn from(interest: Interest) -> Self {
        let mut flags = Self::empty();
        flags.set(Self::IN, interest.read);
        flags.set(Self::OUT, interest.write);
        flags
    }
}

/// Many links, each under a number.
pub(super) struct Watch {
    epoll: OwnedFd,
    events: Vec<Event>,
}

impl Watch {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { epoll: epoll::create(CreateFlags::CLOEXEC)?, events: Vec::with_capacity(512) })
    }

    pub(super) fn add(&self, link: &Link, number: usize, interest: Interest) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, &link.stream, EventData::new_u64(number as u64), interest.into())?)
    }

    pub(super) fn change(&self, link: &Link, number: usize, interest: Interest) -> io::Result<()> {
        Ok(epoll::modify(&self.epoll, &link.stream, EventData::new_u64(number as u64), interest.into())?)
    }

    /// The numbers of those for which something can be done, after waiting this long at most.
    pub(super) fn wait(&mut self, time: Duration) -> io::Result<Vec<usize>> {
        self.events.clear();
        epoll::wait(&self.epoll, spare_capacity(&mut self.events), Some(&timespec(time)))?;
        Ok(self.events.iter().map(|event| event.data.u64() as usize).collect())
    }
}
