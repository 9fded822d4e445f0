use phantom_core::packet::Packet;

struct Opaque;

#[derive(Packet)]
#[packet(id = 1)]
struct Stamped {
    at: Opaque,
}

fn main() {}
