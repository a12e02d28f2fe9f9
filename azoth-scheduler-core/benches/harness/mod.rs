//! A small harness for benchmarks that compare: contestants take turns within one run, so what slows the machine down
//! slows down all of them.
//!
//! Each contestant's loop is first timed to find how many calls fill [`TURN`]. Then come [`ROUNDS`] rounds, in each of
//! which every contestant has one turn, and another one goes first. What counts is the median over the rounds; the
//! least and the greatest say how far to trust it.
//!
//! A program made of it understands `--json FILE`, to which it writes its results, and words: it runs the cases whose
//! names contain one of them. Without `--bench`, which cargo passes, it makes every call once and times nothing.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Makes so many calls and returns something that depends on all of them.
pub(crate) type Calls = Box<dyn Fn(u64) -> i64>;

/// Several ways to do the same, the first one ours.
pub(crate) struct Case {
    /// What is done.
    pub(crate) name: String,
    /// Who does it, and how.
    pub(crate) contestants: Vec<(&'static str, Calls)>,
}

/// What the command line asks for.
struct Wish {
    is_timed: bool,
    json: Option<PathBuf>,
    words: Vec<String>,
}

/// The times of one contestant in one case, in nanoseconds per call.
struct Times {
    who: &'static str,
    median: f64,
    least: f64,
    greatest: f64,
}

/// Runs the cases, prints a table, and writes the results where the command line says.
pub(crate) fn run(bench: &str, cases: Vec<Case>) -> Result<(), String> {
    let wish = Wish::parse(std::env::args().skip(1))?;
    let mut json = Vec::new();
    println!(
        "{:<44} {:<8} {:>12} {:>21} {:>10}",
        "case", "", "ns per call", "least to greatest", "x fastest"
    );
    for case in cases.iter().filter(|case| wish.wants(case)) {
        if !wish.is_timed {
            let sums = case.contestants.iter().map(|(_, calls)| calls(1));
            println!("{}: {} contestants, not timed", case.name, sums.count());
            continue;
        }
        let times = time(case);
        print!("{}", table(&case.name, &times));
        json.extend(times.iter().map(|times| times.json(&case.name)));
    }
    let Some(path) = wish.json else {
        return Ok(());
    };
    let results = json.join(",\n    ");
    let text = format!(
        "{{\n  \"bench\": {bench:?},\n  \"rounds\": {ROUNDS},\n  \"results\": [\n    {results}\n  ]\n}}\n"
    );
    std::fs::write(&path, text).map_err(|error| format!("failed to write {}: {error}", path.display()))
}

/// All rounds of a case.
fn time(case: &Case) -> Vec<Times> {
    let number = case.contestants.len();
    let counts: Vec<u64> = case.contestants.iter().map(|(_, calls)| calls_per_turn(calls)).collect();
    let mut found = vec![Vec::with_capacity(ROUNDS); number];
    for round in 0..ROUNDS {
        for turn in 0..number {
            let index = (round + turn) % number;
            let (_, calls) = &case.contestants[index];
            found[index].push(nanoseconds(turn_of(calls, counts[index])) / counts[index] as f64);
        }
    }
    let who = case.contestants.iter().map(|(who, _)| *who);
    who.zip(found).map(|(who, found)| Times::of(who, found)).collect()
}

/// How many calls fill a turn.
fn calls_per_turn(calls: &Calls) -> u64 {
    let mut number = 1_u64;
    loop {
        let took = turn_of(calls, number);
        if took >= TURN / 4 {
            let wanted = number as f64 * nanoseconds(TURN) / nanoseconds(took);
            return (wanted as u64).max(1);
        }
        number = number.saturating_mul(2);
    }
}

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the time that passes")]
fn turn_of(calls: &Calls, number: u64) -> Duration {
    let started = Instant::now();
    std::hint::black_box(calls(number));
    started.elapsed()
}

fn nanoseconds(span: Duration) -> f64 {
    span.as_secs_f64() * 1e9
}

/// One case as lines of the table. The first contestant is ours: it is compared with the fastest other one, and each
/// other one with that as well.
fn table(case: &str, times: &[Times]) -> String {
    let mut text = String::new();
    let fastest = times.iter().skip(1).map(|times| times.median).fold(f64::INFINITY, f64::min);
    for (index, Times { who, median, least, greatest }) in times.iter().enumerate() {
        let name = if index == 0 { case } else { "" };
        let spread = format!("{least:.1} to {greatest:.1}");
        let ratio = if fastest.is_finite() { format!("{:.2}", median / fastest) } else { String::new() };
        let _ = writeln!(text, "{name:<44} {who:<8} {median:>12.1} {spread:>21} {ratio:>10}");
    }
    text
}

impl Wish {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut wish = Self { is_timed: false, json: None, words: Vec::new() };
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--bench" => wish.is_timed = true,
                "--json" => wish.json = Some(arguments.next().ok_or("`--json` needs a file")?.into()),
                unknown if unknown.starts_with('-') => return Err(format!("unknown argument `{unknown}`")),
                _ => wish.words.push(argument),
            }
        }
        Ok(wish)
    }

    fn wants(&self, case: &Case) -> bool {
        self.words.is_empty() || self.words.iter().any(|word| case.name.contains(word))
    }
}

impl Times {
    fn of(who: &'static str, mut found: Vec<f64>) -> Self {
        found.sort_by(f64::total_cmp);
        let at = |index: usize| found.get(index).copied().unwrap_or(f64::NAN);
        Self { who, median: at(found.len() / 2), least: at(0), greatest: at(found.len().saturating_sub(1)) }
    }

    fn json(&self, case: &str) -> String {
        let Self { who, median, least, greatest } = self;
        format!(
            "{{\"case\": {case:?}, \"who\": {who:?}, \"unit\": \"ns\", \"median\": {median:.2}, \"least\": {least:.2}, \"greatest\": {greatest:.2}}}"
        )
    }
}

/// How often each contestant is timed: an odd number, so that one of the times is the median.
const ROUNDS: usize = 9;

/// How long a contestant runs without a break.
const TURN: Duration = Duration::from_millis(20);
