use phantom_core::bits::Bits;

#[derive(Bits)]
struct Message {
    at: std::time::Instant,
}

fn main() {}
