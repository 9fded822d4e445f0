use phantom_core::bits::Bits;

#[derive(Bits)]
struct Message(#[packet(bits = 0)] u8);

fn main() {}
