//! One line of the table for each scenario.

use std::path::PathBuf;

use super::ledger::{Findings, Kill};

const FILE: &str = "kill-table.txt";
const TOGETHER: &str = "all of them";
/// The width of the first column.
const LABEL_WIDTH: usize = 22;
const HEAD: &str = "scenario              kills  events  deliveries  lost  phantom  changed  \
                    duplicates  allowed  before kill  client repeats  seed";

/// What a scenario came to.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) scenario: &'static str,
    pub(super) seed: u64,
    pub(super) kills: Vec<Kill>,
    /// Events accepted.
    pub(super) events: u32,
    /// Requests that the producer had to repeat.
    pub(super) repeated: u64,
    pub(super) findings: Findings,
    /// What was left over, if anything was.
    pub(super) settled: Result<(), String>,
    /// What the kills may cause at the most.
    pub(super) duplicates_max: u64,
}

impl Report {
    /// Prints the scenario's line, and puts it into `target/kill-table.txt` in place of the line
    /// of an earlier run.
    pub(super) fn write(&self) {
        let line = self.line();
        println!("{HEAD}\n{line}");
        let path = file();
        let old = std::fs::read_to_string(&path).unwrap_or_default();
        let is_of_another = |other: &&str| {
            *other != HEAD && !other.starts_with(&self.label()) && !other.starts_with(TOGETHER)
        };
        let others = old.lines().filter(is_of_another);
        let mut lines: Vec<&str> = others.chain([line.as_str()]).collect();
        lines.sort_unstable();
        let table = format!("{HEAD}\n{}\n{}\n", lines.join("\n"), together(&lines));
        std::fs::write(&path, table).expect("the target folder can be written to");
    }

    /// Asserts what is promised.
    pub(super) fn assert_kept(&self) {
        let Findings {
            lost,
            phantom,
            faults,
            duplicates,
            unexplained,
            ..
        } = &self.findings;
        let what = format!("{} with seed {}", self.scenario, self.seed);
        assert!(self.events > 0, "{what}: nothing was accepted");
        assert_eq!((*lost, *phantom), (0, 0), "{what}: lost and phantom");
        assert!(faults.is_empty(), "{what}: {faults:#?}");
        assert_eq!(self.settled, Ok(()), "{what}: left over");
        assert_eq!(
            *unexplained, 0,
            "{what}: repeated without a kill in between"
        );
        let allowed = self.duplicates_max;
        assert!(
            *duplicates <= allowed,
            "{what}: {duplicates} duplicates, {allowed} allowed"
        );
    }

    fn label(&self) -> String {
        format!("{:<LABEL_WIDTH$}", self.scenario)
    }

    fn line(&self) -> String {
        let Self {
            events,
            repeated,
            findings,
            duplicates_max,
            seed,
            ..
        } = self;
        let Findings {
            deliveries,
            lost,
            phantom,
            duplicates,
            longest_before_kill,
            ..
        } = findings;
        let (label, kills, changed) = (self.label(), self.kills.len(), findings.faults.len());
        let before = format!("{} ms", longest_before_kill.as_millis());
        format!(
            "{label}{kills:>5}  {events:>6}  {deliveries:>10}  {lost:>4}  {phantom:>7}  \
             {changed:>7}  {duplicates:>10}  {duplicates_max:>7}  {before:>11}  {repeated:>14}  \
             {seed}"
        )
    }
}

/// What all scenarios that have run so far add up to.
fn together(lines: &[&str]) -> String {
    let mut sums = [0_u64; 8];
    for line in lines {
        let numbers = line.get(LABEL_WIDTH..).unwrap_or_default();
        for (sum, number) in sums.iter_mut().zip(numbers.split_whitespace()) {
            *sum += number.parse().unwrap_or(0);
        }
    }
    let [
        kills,
        events,
        deliveries,
        lost,
        phantom,
        changed,
        duplicates,
        allowed,
    ] = sums;
    format!(
        "{TOGETHER:<LABEL_WIDTH$}{kills:>5}  {events:>6}  {deliveries:>10}  {lost:>4}  \
         {phantom:>7}  {changed:>7}  {duplicates:>10}  {allowed:>7}"
    )
}

/// Beside the folder in which the test itself lies.
fn file() -> PathBuf {
    let test = std::env::current_exe().expect("the running test has a path");
    let target = test
        .ancestors()
        .nth(3)
        .expect("tests lie in target/PROFILE/deps");
    target.join(FILE)
}
