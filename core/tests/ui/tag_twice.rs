use phantom_core::bits::Bits;

#[derive(Bits)]
enum Direction {
    North,
    South,
    #[packet(tag = 1)]
    East,
}

fn main() {}
