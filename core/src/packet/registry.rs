//! Which handler gets which packet: one type and one handler per ID, and a fresh value for each packet.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::collections::btree_map::Entry;
use core::convert::Infallible;
use core::fmt;

use super::{Packet, read_id, read_whole};
use crate::bits::{BitReader, ReadError};

/// The packet types that a side understands, and what is to be done with each.
///
/// `C` is a context that every handler gets, such as the state of the application; `E` is the error with which a
/// handler may fail.
///
/// ```
/// # #[cfg(feature = "derive")] {
/// use phantom_core::packet::{self, Packet, Registry};
///
/// #[derive(Packet)]
/// #[packet(id = 1)]
/// struct Message(String);
///
/// let mut registry = Registry::<Vec<String>>::new();
/// registry.register(|log: &mut Vec<String>, Message(text)| log.push(text))?;
///
/// let mut log = Vec::new();
/// registry.dispatch(&mut log, &packet::encode(&Message("Приветик!!!".into()))?)?;
/// assert_eq!(log, ["Приветик!!!"]);
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Registry<C, E = Infallible> {
    handlers: BTreeMap<u32, Handler<C, E>>,
}

type Handler<C, E> = Box<dyn FnMut(&mut C, BitReader<'_>) -> Result<(), Failure<E>> + Send>;

/// Whose fault it is: kept apart from the moment it happens.
enum Failure<E> {
    Packet(ReadError),
    Handler(E),
}

impl<C> Registry<C> {
    /// A registry without packet types, for handlers that cannot fail.
    ///
    /// For handlers that can, there is `Registry::<C, E>::default()`.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl<C, E> Default for Registry<C, E> {
    fn default() -> Self {
        Self { handlers: BTreeMap::new() }
    }
}

impl<C, E> Registry<C, E> {
    /// Registers a packet type with its handler, which returns nothing or a `Result<(), E>`.
    ///
    /// # Errors
    ///
    /// [`RegisterError`] if the ID is zero or taken; the earlier handler stays.
    pub fn register<P, R>(
        &mut self,
        mut handler: impl FnMut(&mut C, P) -> R + Send + 'static,
    ) -> Result<(), RegisterError>
    where
        P: Packet,
        R: Outcome<E>,
    {
        if P::ID == 0 {
            return Err(RegisterError::ZeroId);
        }
        let Entry::Vacant(entry) = self.handlers.entry(P::ID) else {
            return Err(RegisterError::Taken { id: P::ID });
        };
        entry.insert(Box::new(move |context, input| {
            let packet = read_whole(input).map_err(Failure::Packet)?;
            handler(context, packet).into_result().map_err(Failure::Handler)
        }));
        Ok(())
    }

    /// Decodes a packet and gives it to its handler. No handler is called unless the whole packet is right.
    ///
    /// # Errors
    ///
    /// [`DispatchError`]: an unknown ID, a malformed packet, or what the handler reports. The registry can be used on.
    pub fn dispatch(&mut self, context: &mut C, packet: &[u8]) -> Result<(), DispatchError<E>> {
        let mut input = BitReader::new(packet);
        let id = read_id(&mut input).map_err(DispatchError::NoId)?;
        let handler = self.handlers.get_mut(&id).ok_or(DispatchError::UnknownId(id))?;
        handler(context, input).map_err(|failure| match failure {
            Failure::Packet(error) => DispatchError::Malformed { id, error },
            Failure::Handler(error) => DispatchError::Handler { id, error },
        })
    }

    /// Whether a type with this ID is registered.
    #[must_use]
    pub fn contains(&self, id: u32) -> bool {
        self.handlers.contains_key(&id)
    }

    /// How many types are registered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.handlers.len()
    }

    /// Whether no type is registered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.handlers.is_empty()
    }
}

impl<C, E> fmt::Debug for Registry<C, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Registry").field(&self.handlers.keys()).finish()
    }
}

/// What a handler may return: nothing, or a `Result<(), E>`.
pub trait Outcome<E> {
    /// The same as a result.
    ///
    /// # Errors
    ///
    /// The handler's own.
    fn into_result(self) -> Result<(), E>;
}

impl<E> Outcome<E> for () {
    fn into_result(self) -> Result<(), E> {
        Ok(())
    }
}

impl<E> Outcome<E> for Result<(), E> {
    fn into_result(self) -> Self {
        self
    }
}

/// Why a packet type could not be registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RegisterError {
    /// Its ID is zero.
    ZeroId,
    /// A type with its ID is registered already, perhaps the same one.
    Taken {
        /// The ID.
        id: u32,
    },
}

impl fmt::Display for RegisterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ZeroId => f.write_str("the packet ID is zero; choose a positive one"),
            Self::Taken { id } => write!(f, "a packet type with the ID {id} is registered already"),
        }
    }
}

impl core::error::Error for RegisterError {}

/// Why a packet was not handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DispatchError<E = Infallible> {
    /// The data does not begin with an ID; empty data does not either.
    NoId(ReadError),
    /// No type with this ID is registered.
    UnknownId(u32),
    /// The type is known, but the body does not fit it. The handler was not called.
    Malformed {
        /// The ID in the data.
        id: u32,
        /// What is wrong with the body.
        error: ReadError,
    },
    /// The packet was right, and its handler failed.
    Handler {
        /// The ID in the data.
        id: u32,
        /// What the handler reports.
        error: E,
    },
}

impl<E: fmt::Display> fmt::Display for DispatchError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoId(error) => write!(f, "the packet has no readable ID: {error}"),
            Self::UnknownId(id) => write!(f, "no packet type with the ID {id} is registered"),
            Self::Malformed { id, error } => {
                write!(
                    f,
                    "the packet with the ID {id} is malformed (do both sides use the same type?): {error}"
                )
            }
            Self::Handler { id, error } => {
                write!(f, "the handler of the packet with the ID {id} failed: {error}")
            }
        }
    }
}

impl<E: core::error::Error + 'static> core::error::Error for DispatchError<E> {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::NoId(error) | Self::Malformed { error, .. } => Some(error),
            Self::Handler { error, .. } => Some(error),
            Self::UnknownId(_) => None,
        }
    }
}
