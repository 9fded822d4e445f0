use phantom_core::bits::Bits;

#[derive(Bits)]
struct Message(#[packet(bits = 9)] String);

fn main() {}
