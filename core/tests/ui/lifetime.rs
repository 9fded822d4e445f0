use phantom_core::bits::Bits;

#[derive(Bits)]
struct Message<'a>(&'a str);

fn main() {}
