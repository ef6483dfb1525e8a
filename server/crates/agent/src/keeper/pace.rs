//! When to look: soon after the last change, not much later than the first, and never so often that looking is all we do.

use std::time::Duration;

use tokio::time::Instant;

/// A burst of writes is over when nothing came for so long.
const QUIET: Duration = Duration::from_millis(300);
/// A burst that goes on is saved in between.
const LONGEST: Duration = Duration::from_secs(1);
/// After a round, five times as long is spent on other things.
const REST: u32 = 5;
/// What people save comes in ones and twos.
const TOGETHER: Duration = Duration::from_millis(50);

#[derive(Default)]
pub(super) struct Pace {
    disk: Option<Burst>,
    project: Option<Instant>,
    retry_at: Option<Instant>,
    disk_rests_until: Option<Instant>,
    rests_until: Option<Instant>,
}

#[derive(Clone, Copy)]
struct Burst {
    first: Instant,
    last: Instant,
}

/// Why a round takes place.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub disk: bool,
}

impl Pace {
    pub fn disk_changed(&mut self, now: Instant) {
        self.disk.get_or_insert(Burst { first: now, last: now }).last = now;
    }

    pub fn project_changed(&mut self, now: Instant) {
        self.project.get_or_insert(now);
    }

    pub fn retry(&mut self, at: Instant) {
        self.retry_at = Some(at);
    }

    pub fn due(&self) -> Option<Instant> {
        let disk = self.disk.map(|burst| not_before((burst.last + QUIET).min(burst.first + LONGEST), self.disk_rests_until));
        let project = self.project.map(|first| not_before(first + TOGETHER, self.rests_until));
        [disk, project, self.retry_at].into_iter().flatten().min()
    }

    /// To be called when a round begins; what changes from here on asks for another.
    pub fn begin(&mut self) -> Asked {
        let disk = self.disk.is_some() || self.retry_at.is_some();
        (self.disk, self.project, self.retry_at) = (None, None, None);
        Asked { disk }
    }

    pub fn done(&mut self, now: Instant, took: Duration) {
        self.disk_rests_until = Some(now + took * REST);
        self.rests_until = Some(now + took);
    }
}

fn not_before(at: Instant, earliest: Option<Instant>) -> Instant {
    earliest.map_or(at, |earliest| at.max(earliest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_waits_for_quiet_but_not_for_ever() {
        let start = Instant::now();
        let ms = |n| start + Duration::from_millis(n);
        let mut pace = Pace::default();
        assert_eq!(pace.due(), None);
        pace.disk_changed(ms(0));
        assert_eq!(pace.due(), Some(ms(300)));
        pace.disk_changed(ms(200));
        assert_eq!(pace.due(), Some(ms(500)));
        (300..2000).step_by(100).for_each(|at| pace.disk_changed(ms(at)));
        assert_eq!(pace.due(), Some(ms(1000)), "constant change is saved every second");
        assert_eq!(pace.begin(), Asked { disk: true });
        assert_eq!(pace.due(), None);
    }

    #[test]
    fn long_rounds_make_long_rests_but_people_do_not_wait_for_them() {
        let start = Instant::now();
        let ms = |n| start + Duration::from_millis(n);
        let mut pace = Pace::default();
        pace.done(ms(0), Duration::from_millis(400));
        pace.disk_changed(ms(10));
        assert_eq!(pace.due(), Some(ms(2000)));
        pace.project_changed(ms(500));
        assert_eq!(pace.due(), Some(ms(550)));
        assert_eq!(pace.begin(), Asked { disk: true }, "one round does both");
        pace.project_changed(ms(600));
        assert_eq!(pace.begin(), Asked { disk: false });
        pace.retry(ms(700));
        assert_eq!((pace.due(), pace.begin()), (Some(ms(700)), Asked { disk: true }));
    }
}
