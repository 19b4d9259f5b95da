//! What a fleet of senders keeps to, and what one sender holds.

mod capacity;
mod throttle;

use crate::machine;

/// What the fleet is measured with.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct FleetArgs {
    /// Seconds instead of minutes: shows that everything runs.
    #[arg(long)]
    quick: bool,
    /// Only what one sender holds.
    #[arg(long)]
    capacity_only: bool,
    /// How long a throttle is watched.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// How many requests one sender has under way.
    #[arg(long, default_value_t = 10_000)]
    in_flight: u32,
    /// How many webhooks it knows.
    #[arg(long, default_value_t = 100_000)]
    webhooks: u32,
}

impl FleetArgs {
    fn adjusted(mut self) -> Self {
        if self.quick {
            self.seconds = 8;
            self.in_flight = self.in_flight.min(1_000);
            self.webhooks = self.webhooks.min(5_000);
        }
        self
    }
}

/// Measures, and prints the tables.
///
/// # Errors
/// A part does not start, or stops.
pub(crate) async fn run(args: FleetArgs) -> anyhow::Result<()> {
    let args = args.adjusted();
    println!("{}\n", machine::describe()?);
    if !args.capacity_only {
        println!("{}", throttle::measure(args.seconds).await?);
    }
    println!(
        "{}",
        capacity::measure(args.in_flight, args.webhooks).await?
    );
    Ok(())
}
