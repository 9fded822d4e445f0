//! Which function gets which packet: one per type, and what happens with the rest is said, not guessed.

use std::convert::Infallible;
use std::fmt;

use phantom_core::packet::{DispatchError, Outcome, Packet, RegisterError, Registry};

/// Handlers for packets, one per type, for [`Channel::serve`](crate::Channel::serve).
///
/// A handler is a function of the packet. It returns nothing, or a `Result<(), E>` whose error ends `serve`. It must not wait: what
/// takes time is sent on, to a task or a queue of its own.
///
/// ```
/// use phantom_tokio::{Handlers, Packet};
///
/// #[derive(Packet)]
/// #[packet(id = 1)]
/// struct Message(String);
///
/// #[derive(Packet)]
/// #[packet(id = 2)]
/// struct Score(u32);
///
/// let handlers = Handlers::new()
///     .on::<Message>(|Message(text)| println!("{text}"))?
///     .on::<Score>(|Score(points)| println!("{points} points"))?;
/// assert_eq!(handlers.len(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "handlers do nothing before they are given to `Channel::serve`"]
pub struct Handlers<E = Infallible> {
    registry: Registry<(), E>,
    others: Option<Others>,
}

type Others = Box<dyn FnMut(&[u8]) + Send>;

impl Handlers {
    /// None yet, for handlers that cannot fail. For handlers that can, there is `Handlers::<E>::default()`.
    pub fn new() -> Self {
        Self::default()
    }
}

impl<E> Default for Handlers<E> {
    fn default() -> Self {
        Self { registry: Registry::default(), others: None }
    }
}

impl<E> Handlers<E> {
    /// Sets the handler of the packets of type `P`.
    ///
    /// # Errors
    /// The ID of `P` is zero, or another type has it.
    pub fn on<P: Packet>(self, handler: impl FnMut(P) + Send + 'static) -> Result<Self, RegisterError> {
        self.try_on(handler)
    }

    /// The same for a handler that may fail: it returns a `Result<(), E>`.
    ///
    /// # Errors
    /// The ID of `P` is zero, or another type has it.
    pub fn try_on<P: Packet, R: Outcome<E>>(
        mut self,
        mut handler: impl FnMut(P) -> R + Send + 'static,
    ) -> Result<Self, RegisterError> {
        self.registry.register(move |(), packet| handler(packet))?;
        Ok(self)
    }

    /// Sets what gets the packets of types without a handler, as bytes. Without this they are an error.
    pub fn others(mut self, handler: impl FnMut(&[u8]) + Send + 'static) -> Self {
        self.others = Some(Box::new(handler));
        self
    }

    /// How many types have a handler.
    #[must_use]
    pub fn len(&self) -> usize {
        self.registry.len()
    }

    /// Whether no type has a handler.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.registry.is_empty()
    }

    pub(crate) fn dispatch(&mut self, packet: &[u8]) -> Result<(), DispatchError<E>> {
        match (self.registry.dispatch(&mut (), packet), &mut self.others) {
            (Err(DispatchError::UnknownId(_)), Some(others)) => {
                others(packet);
                Ok(())
            }
            (result, _) => result,
        }
    }
}

impl<E> fmt::Debug for Handlers<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handlers")
            .field("registry", &self.registry)
            .field("others", &self.others.is_some())
            .finish()
    }
}
