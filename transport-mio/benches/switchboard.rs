//! Times the relay's way from socket to socket, the system's part included: `cargo bench -p phantom-mio`.

mod paths;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn switchboard(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("switchboard");
    for (name, size) in [("50 frames of 32 B", 32), ("50 frames of 1 KiB", 1024)] {
        group.throughput(Throughput::Bytes(paths::payload(size)));
        let mut run = paths::burst(size);
        group.bench_function(name, |bencher| bencher.iter(&mut run));
    }
    group.finish();
}

criterion_group!(benches, switchboard);
criterion_main!(benches);
