use phantom_core::bits::Bits;

#[derive(Bits)]
enum Never {}

fn main() {}
