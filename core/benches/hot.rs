//! Times the hot paths of the core: `cargo bench -p phantom-core`.

mod paths;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn hot(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("core");
    for path in paths::all() {
        group.throughput(match path.bytes {
            0 => Throughput::Elements(1),
            bytes => Throughput::Bytes(bytes),
        });
        let mut run = (path.prepare)();
        group.bench_function(path.name, |bencher| bencher.iter(&mut run));
    }
    group.finish();
}

criterion_group!(benches, hot);
criterion_main!(benches);
