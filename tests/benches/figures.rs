//! What was measured, and how it is printed.

use crate::load::{Load, Measure};

/// What is added to the name of a server of another build.
pub(crate) const BEFORE: &str = ", before";

/// One load on one server in one round.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figure {
    /// Uploads or megabytes a second.
    pub(crate) rate: f64,
    /// CPU seconds of the server for each of them.
    pub(crate) cpu: f64,
    /// Most memory of the server, in MB.
    pub(crate) peak: f64,
}

/// All rounds of one load on one server.
pub(crate) struct Series {
    server: String,
    load: Load,
    rounds: Vec<Figure>,
}

/// Adds a figure where it belongs.
pub(crate) fn note(all: &mut Vec<Series>, server: &str, load: &Load, figure: Figure) {
    let known =
        all.iter_mut().find(|series| series.server == server && series.load.name == load.name);
    match known {
        Some(series) => series.rounds.push(figure),
        None => {
            all.push(Series { server: server.to_owned(), load: load.clone(), rounds: vec![figure] })
        }
    }
}

const HEADING: &str =
    "| load | server | rate | CPU | peak MB | rate, ratio | CPU, ratio | CPU, more |
|---|---|---|---|---|---|---|---|
";

/// A table for people: each cell is the median of all rounds and, in brackets, least and most.
pub(crate) fn table(all: &[Series]) -> String {
    let mut table = String::from(HEADING);
    let mut loads: Vec<&Load> = Vec::new();
    for series in all {
        if !loads.iter().any(|load| load.name == series.load.name) {
            loads.push(&series.load);
        }
    }
    for load in loads {
        let of_load = || all.iter().filter(|series| series.load.name == load.name);
        for series in of_load() {
            // Another build of the same server, or the same one without a ledger, or `bare`.
            let before = format!("{}{BEFORE}", series.server);
            let without = series.server.strip_suffix("-ledger").unwrap_or("bare");
            let named = |name: &str| of_load().find(|series| series.server == name);
            table.push_str(&row(series, named(&before).or_else(|| named(without))));
        }
    }
    table
}

fn row(series: &Series, reference: Option<&Series>) -> String {
    let (rate_unit, cpu_unit, cpu_scale, digits) = match series.load.measure {
        Measure::Uploads => ("/s", "us", 1e6, 1),
        Measure::Megabytes => ("MB/s", "s/GB", 1e3, 2),
    };
    let column = |value: &dyn Fn(&Figure) -> f64| series.rounds.iter().map(value).collect();
    let reference = reference.filter(|reference| reference.server != series.server);
    // Each round with the same round.
    let against = |value: &dyn Fn(&Figure, &Figure) -> f64, digits| {
        let Some(reference) = reference else { return "-".to_owned() };
        let pairs = series.rounds.iter().zip(&reference.rounds);
        spread(pairs.map(|(own, other)| value(own, other)).collect(), digits)
    };
    format!(
        "| {} | {} | {} {rate_unit} | {} {cpu_unit} | {} | {} | {} | {} |\n",
        series.load.name,
        series.server,
        spread(column(&|own| own.rate), 0),
        spread(column(&|own| own.cpu * cpu_scale), digits),
        spread(column(&|own| own.peak), 0),
        against(&|own, other| own.rate / other.rate, 2),
        against(&|own, other| own.cpu / other.cpu, 2),
        against(&|own, other| (own.cpu - other.cpu) * cpu_scale, digits),
    )
}

fn spread(mut values: Vec<f64>, digits: usize) -> String {
    values.sort_by(f64::total_cmp);
    let (least, median, most) = (values[0], values[values.len() / 2], values[values.len() - 1]);
    format!("{median:.digits$} [{least:.digits$}-{most:.digits$}]")
}
