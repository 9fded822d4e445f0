use phantom_core::packet::Packet;

#[derive(Packet)]
#[packet(id = 1, size = 2)]
struct Message(String);

fn main() {}
