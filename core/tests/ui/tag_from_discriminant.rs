use phantom_core::bits::Bits;

#[derive(Bits)]
enum Direction {
    North = 5,
}

fn main() {}
