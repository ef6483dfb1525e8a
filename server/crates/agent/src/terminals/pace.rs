//! How much one reader is sent.

use std::time::Duration;

use tokio::time::Instant;

/// Fills up steadily; what is not taken is saved up to a limit.
#[derive(Debug)]
pub struct Bucket {
    level: f64,
    most: f64,
    per_second: f64,
    filled_at: Instant,
}

impl Bucket {
    pub fn new(most: f64, per_second: f64) -> Self {
        Self { level: most, most, per_second, filled_at: Instant::now() }
    }

    /// What can be taken now.
    pub fn level(&mut self) -> f64 {
        let now = Instant::now();
        let earned = now.duration_since(self.filled_at).as_secs_f64() * self.per_second;
        self.level = (self.level + earned).min(self.most);
        self.filled_at = now;
        self.level
    }

    /// May go below zero: then it takes longer until there is something again.
    pub fn take(&mut self, amount: f64) {
        self.level -= amount;
    }

    /// How long until `amount` can be taken; zero when it can be now.
    pub fn wait_for(&mut self, amount: f64) -> Duration {
        let missing = amount.min(self.most) - self.level();
        if missing <= 0.0 { Duration::ZERO } else { Duration::from_secs_f64(missing / self.per_second) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_fills_up_steadily_and_no_further() {
        let mut bucket = Bucket::new(10.0, 5.0);
        bucket.take(10.0);
        assert_eq!(bucket.wait_for(5.0), Duration::from_secs(1));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!((bucket.wait_for(5.0), bucket.level()), (Duration::ZERO, 5.0));
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(bucket.level(), 10.0);
    }
}
