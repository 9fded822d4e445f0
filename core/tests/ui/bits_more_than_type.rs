use phantom_core::bits::Bits;

#[derive(Bits)]
struct Message(#[packet(bits = 9)] u8);

fn main() {}
