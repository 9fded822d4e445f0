//! What was measured: for each workload and peer, named numbers, one of each for every repetition.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::load::Figures;

/// A measurement is left out if so much of a core was taken away by others.
const DISTURBED: f64 = 0.1;

/// All measurements.
pub(crate) struct Results {
    /// Nothing is left out.
    takes_all: bool,
    /// By workload and peer, in the order in which they were first measured.
    order: Vec<(String, &'static str)>,
    numbers: BTreeMap<(String, &'static str, &'static str), Vec<f64>>,
    /// How many were left out.
    pub(crate) disturbed: usize,
}

impl Results {
    /// None yet. In a trial, all are taken.
    pub(crate) fn new(trial: bool) -> Self {
        Self { takes_all: trial, order: Vec::new(), numbers: BTreeMap::new(), disturbed: 0 }
    }

    /// Adds what one repetition gave.
    pub(crate) fn add(&mut self, workload: &str, peer: &'static str, figures: &Figures) {
        let taken =
            figures.iter().filter(|(name, _)| matches!(*name, "stolen" | "waited")).map(|(_, share)| *share);
        if !self.takes_all && taken.fold(0.0, f64::max) > DISTURBED {
            self.disturbed += 1;
            return;
        }
        let place = (workload.to_owned(), peer);
        if !self.order.contains(&place) {
            self.order.push(place);
        }
        for &(name, number) in figures {
            self.numbers.entry((workload.to_owned(), peer, name)).or_default().push(number);
        }
    }

    /// The median of all repetitions.
    pub(crate) fn median(&self, workload: &str, peer: &'static str, name: &'static str) -> Option<f64> {
        self.numbers.get(&(workload.to_owned(), peer, name)).map(|numbers| median(numbers))
    }

    /// The worst of all repetitions.
    pub(crate) fn greatest(&self, workload: &str, peer: &'static str, name: &'static str) -> Option<f64> {
        sorted(self.numbers.get(&(workload.to_owned(), peer, name))?).last().copied()
    }

    /// One median by another.
    pub(crate) fn ratio(
        &self,
        workload: &str,
        name: &'static str,
        [over, under]: [&'static str; 2],
    ) -> Option<f64> {
        Some(self.median(workload, over, name)? / self.median(workload, under, name)?)
    }

    /// Every number as Markdown: median, least and greatest.
    pub(crate) fn table(&self) -> String {
        let mut table = String::from(
            "| load | relay | what | median | least | greatest |\n|---|---|---|---:|---:|---:|\n",
        );
        for (workload, peer) in &self.order {
            let of_both = self.numbers.iter().filter(|((w, p, _), _)| w == workload && p == peer);
            for ((_, _, name), numbers) in of_both {
                let sorted = sorted(numbers);
                let [median, least, greatest] =
                    [median(numbers), sorted[0], sorted[sorted.len() - 1]].map(short);
                let _ = writeln!(table, "| {workload} | {peer} | {name} | {median} | {least} | {greatest} |");
            }
        }
        table
    }
}

/// The middle one of these, of which there are some, or what lies between the two in the middle.
pub(crate) fn median(numbers: &[f64]) -> f64 {
    let sorted = sorted(numbers);
    f64::midpoint(sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2])
}

fn sorted(numbers: &[f64]) -> Vec<f64> {
    let mut numbers = numbers.to_vec();
    numbers.sort_by(f64::total_cmp);
    numbers
}

/// A number with three digits that count, or all before the point.
pub(crate) fn short(number: f64) -> String {
    match number.abs() {
        large if large >= 1e6 => format!("{:.2} M", number / 1e6),
        large if large >= 100.0 => format!("{number:.0}"),
        medium if medium >= 10.0 => format!("{number:.1}"),
        small if small >= 1.0 || small == 0.0 => format!("{number:.2}"),
        _ => format!("{number:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_lies_in_the_middle() {
        assert_eq!(
            (median(&[3.0, 1.0, 9.0]), median(&[3.0, 1.0, 9.0, 5.0]), median(&[2.0])),
            (3.0, 4.0, 2.0)
        );
    }
}
