use phantom_core::bits::Bits;

#[derive(Bits)]
#[packet(id = 1)]
struct Message(String);

fn main() {}
