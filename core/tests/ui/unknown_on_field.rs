use phantom_core::bits::Bits;

#[derive(Bits)]
struct Message(#[packet(width = 3)] u8);

fn main() {}
