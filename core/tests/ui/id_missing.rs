use phantom_core::packet::Packet;

#[derive(Packet)]
struct Message(String);

fn main() {}
