use phantom_core::packet::Packet;

#[derive(Packet)]
#[packet(id = 1)]
struct Message {
    #[packet(default)]
    urgent: bool,
    text: String,
}

fn main() {}
