//! The bytes of one input, taken as choices from front to back. When they are used up every choice is the first one, so that no
//! input is invalid and a cut input is a shorter story with the same beginning.

pub(crate) struct Feed<'a>(&'a [u8]);

impl<'a> Feed<'a> {
    pub(crate) const fn new(data: &'a [u8]) -> Self {
        Self(data)
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        let Some((&byte, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        byte
    }

    pub(crate) fn bool(&mut self) -> bool {
        self.byte() & 1 != 0
    }

    pub(crate) fn array<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.byte())
    }

    pub(crate) fn u16(&mut self) -> u16 {
        u16::from_be_bytes(self.array())
    }

    pub(crate) fn u32(&mut self) -> u32 {
        u32::from_be_bytes(self.array())
    }

    pub(crate) fn u64(&mut self) -> u64 {
        u64::from_be_bytes(self.array())
    }

    /// A number below `n`, which must not be 0.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        usize::from(self.byte()) % n
    }

    /// One of `known`, if there is one.
    pub(crate) fn pick<T: Copy>(&mut self, known: &[T]) -> Option<T> {
        if known.is_empty() { None } else { Some(known[self.below(known.len())]) }
    }

    /// One of `known` where it lies, if there is one.
    pub(crate) fn pick_ref<'k, T>(&mut self, known: &'k [T]) -> Option<&'k T> {
        if known.is_empty() { None } else { known.get(self.below(known.len())) }
    }

    /// One of `known` most of the time, the latest first; otherwise any number, or one next to a known one.
    pub(crate) fn near(&mut self, known: &[u32]) -> u32 {
        let choice = self.byte();
        let latest = |back: usize| known.len().checked_sub(1 + back % known.len().max(1)).map(|at| known[at]);
        match choice {
            0..192 => latest(usize::from(choice)).unwrap_or(1),
            192..224 => latest(usize::from(choice)).unwrap_or(0).wrapping_add(1),
            224..240 => latest(usize::from(choice)).unwrap_or(0).wrapping_sub(1),
            240..255 => self.u32(),
            255 => u32::MAX,
        }
    }

    /// At most 255 bytes, behind their length.
    pub(crate) fn bytes(&mut self) -> &'a [u8] {
        let len = usize::from(self.byte()).min(self.0.len());
        let (bytes, rest) = self.0.split_at(len);
        self.0 = rest;
        bytes
    }

    /// All that is left.
    pub(crate) const fn rest(&mut self) -> &'a [u8] {
        let rest = self.0;
        self.0 = &[];
        rest
    }
}
