use phantom_core::bits::Bits;

#[derive(Bits)]
enum Direction {
    #[packet(id = 1)]
    North,
}

fn main() {}
