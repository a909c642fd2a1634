//! A statistic of the window before each row: over a count of rows, or over time at irregular steps.
//!
//! Each statistic has a form for a whole column ([`by_count`], [`by_time`], [`quantiles_by_count`] …) and one that takes row by row
//! ([`Stream`], [`RankedStream`]); both give the same bits. Near the beginning a window holds the rows there are. A NaN makes sums, means
//! and lines of its windows NaN and no others'; the least and the greatest skip it; quantiles order it before all others, as Prometheus does.

mod batch;
mod chunk;
mod ewma;
mod extreme;
mod firsts;
mod fold;
mod growth;
mod increase;
mod line;
mod ranked;
mod rows;
mod spread;
mod stream;
mod whole;

pub use batch::{by_count, by_count_at, by_time};
pub use ewma::{Ewma, ewma};
pub use extreme::{Max, Min};
pub use fold::{Count, Fold, Mean, Sum};
pub use growth::{Growth, growth_by_count, growth_by_count_at, growth_by_time};
pub use increase::{Increase, Rate};
pub use line::{Deviation, EvenLine, EvenSlope, Line, Slope};
pub use ranked::{
    RankedStream, mad_by_count, mad_by_time, mad_within, quantiles_by_count, quantiles_by_time,
    quantiles_within,
};
pub use rows::{Origin, Row};
pub use spread::{Squares, Stddev};
pub use stream::{Stream, Width};
pub use whole::whole;

#[cfg(test)]
mod tests;
