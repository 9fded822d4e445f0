use phantom_core::bits::Bits;

#[derive(Bits)]
struct Message {
    text: String,
    #[packet(default)]
    urgent: bool,
}

fn main() {}
