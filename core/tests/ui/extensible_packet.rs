use phantom_core::packet::Packet;

#[derive(Packet)]
#[packet(id = 1, extensible)]
struct Message(String);

fn main() {}
