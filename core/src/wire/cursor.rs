//! Bounded reading and writing of big-endian fields.

/// Reads fields from the front of a slice; every read says whether the bytes were there.
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*head)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    /// `Some` if every byte has been read: trailing bytes are as wrong as missing ones.
    pub(crate) fn end(&self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}

/// Writes fields into a buffer of a fixed size that is known to suffice.
pub(crate) struct Writer<const MAX: usize> {
    bytes: [u8; MAX],
    len: usize,
}

impl<const MAX: usize> Writer<MAX> {
    pub(crate) const fn new() -> Self {
        Self { bytes: [0; MAX], len: 0 }
    }

    pub(crate) fn put(mut self, field: &[u8]) -> Self {
        self.bytes[self.len..self.len + field.len()].copy_from_slice(field);
        self.len += field.len();
        self
    }

    pub(crate) fn u8(self, v: u8) -> Self {
        self.put(&[v])
    }

    pub(crate) fn u16(self, v: u16) -> Self {
        self.put(&v.to_be_bytes())
    }

    pub(crate) fn u32(self, v: u32) -> Self {
        self.put(&v.to_be_bytes())
    }

    pub(crate) fn u64(self, v: u64) -> Self {
        self.put(&v.to_be_bytes())
    }

    pub(crate) fn finish(self) -> ([u8; MAX], usize) {
        (self.bytes, self.len)
    }
}
