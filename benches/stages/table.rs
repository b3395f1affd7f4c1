//! All costs of a run, and their medians side by side.

use crate::meter::Cost;
use std::time::Duration;

/// The sizes of PDF measured.
pub const SIZES: [&str; 3] = ["20 KB", "200 KB", "2 MB"];

/// What the ratio of a row is.
#[derive(Clone, Copy, PartialEq)]
pub enum Ratio {
    /// None.
    None,
    /// This row's CPU time over that of the named row.
    Over(&'static str),
}

struct Row {
    section: &'static str,
    name: &'static str,
    ratio: Ratio,
    costs: [Vec<Cost>; SIZES.len()],
}

/// Rows in the order they first came.
#[derive(Default)]
pub struct Table(Vec<Row>);

impl Table {
    pub fn add(
        &mut self,
        size: usize,
        (section, name, ratio): (&'static str, &'static str, Ratio),
        cost: Cost,
    ) {
        let known = self.0.iter().position(|row| row.name == name);
        let at = known.unwrap_or_else(|| {
            // A section's rows stay together, whoever comes late.
            let last = self.0.iter().rposition(|row| row.section == section);
            let at = last.map_or(self.0.len(), |last| last + 1);
            self.0.insert(
                at,
                Row {
                    section,
                    name,
                    ratio,
                    costs: Default::default(),
                },
            );
            at
        });
        self.0[at].costs[size].push(cost);
    }

    /// Median CPU and wall time in milliseconds.
    fn medians(&self, name: &str, size: usize) -> Option<(f64, f64)> {
        let row = self.0.iter().find(|row| row.name == name)?;
        let median = |of: fn(&Cost) -> Duration| {
            let mut times: Vec<Duration> = row.costs[size].iter().map(of).collect();
            times.sort_unstable();
            times.get(times.len() / 2).map(|t| t.as_secs_f64() * 1e3)
        };
        Some((median(|cost| cost.cpu)?, median(|cost| cost.wall)?))
    }

    pub fn print(&self) {
        print!("{:<52}", "");
        SIZES.iter().for_each(|size| print!("{size:>27}"));
        print!("\n{:<52}", "median ms");
        SIZES
            .iter()
            .for_each(|_| print!("{:>9} {:>8} {:>8}", "CPU", "wall", "ratio"));
        println!("   ratio of CPU times to");
        let mut section = "";
        for row in &self.0 {
            if row.section != section {
                section = row.section;
                println!("\n{section}");
            }
            self.print_row(row);
        }
    }

    fn print_row(&self, row: &Row) {
        print!("  {:<50}", row.name);
        for size in 0..SIZES.len() {
            let Some((cpu, wall)) = self.medians(row.name, size) else {
                print!("{:>27}", "-");
                continue;
            };
            let ratio = match row.ratio {
                Ratio::None => None,
                Ratio::Over(other) => self.medians(other, size).map(|(floor, _)| cpu / floor),
            };
            let ratio = ratio.map_or(String::new(), |ratio| format!("{ratio:.1} x"));
            print!("{cpu:>9.2} {wall:>8.2} {ratio:>8}");
        }
        match row.ratio {
            Ratio::None => println!(),
            Ratio::Over(other) => println!("   {other}"),
        }
    }
}
