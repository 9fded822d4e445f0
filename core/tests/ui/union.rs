use phantom_core::bits::Bits;

#[derive(Bits)]
union Number {
    int: u32,
    float: f32,
}

fn main() {}
