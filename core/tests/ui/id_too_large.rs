use phantom_core::packet::Packet;

#[derive(Packet)]
#[packet(id = 4294967296)]
struct Message(String);

fn main() {}
