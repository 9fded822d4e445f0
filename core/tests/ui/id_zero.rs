use phantom_core::packet::Packet;

#[derive(Packet)]
#[packet(id = 0)]
struct Message(String);

fn main() {}
