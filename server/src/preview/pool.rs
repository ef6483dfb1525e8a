use std::ops::RangeInclusive;

use wire::ProjectId;

/// Which of our ports belong to whom.
///
/// A browser keeps what a page stored under its origin. So a port goes back to the project that had it last where that is possible,
/// and otherwise the one that has rested longest is taken.
pub struct Pool {
    ports: Vec<Port>,
    turn: u64,
}

struct Port {
    number: u16,
    taken: bool,
    project: Option<ProjectId>,
    /// When it was last given back; 0 for never.
    released: u64,
}

impl Pool {
    pub fn new(ports: Option<RangeInclusive<u16>>) -> Self {
        let port = |number| Port { number, taken: false, project: None, released: 0 };
        Self { ports: ports.into_iter().flatten().map(port).collect(), turn: 0 }
    }

    /// The best choice first.
    pub fn free(&self, project: ProjectId) -> Vec<u16> {
        let mut free: Vec<&Port> = self.ports.iter().filter(|port| !port.taken).collect();
        free.sort_by_key(|port| (port.project != Some(project), port.released, port.number));
        free.into_iter().map(|port| port.number).collect()
    }

    pub fn take(&mut self, number: u16, project: ProjectId) {
        if let Some(port) = self.ports.iter_mut().find(|port| port.number == number) {
            (port.taken, port.project) = (true, Some(project));
        }
    }

    pub fn release(&mut self, number: u16) {
        self.turn += 1;
        if let Some(port) = self.ports.iter_mut().find(|port| port.number == number) {
            (port.taken, port.released) = (false, self.turn);
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_port_returns_to_its_project_and_rests_longest_otherwise() {
        let (one, other) = (ProjectId(Uuid::from_u128(1)), ProjectId(Uuid::from_u128(2)));
        let mut pool = Pool::new(Some(8100..=8102));
        assert_eq!(pool.free(one), [8100, 8101, 8102]);
        pool.take(8100, one);
        pool.take(8101, one);
        assert_eq!(pool.free(other), [8102]);
        pool.release(8101);
        pool.release(8100);
        assert_eq!(pool.free(one), [8101, 8100, 8102]);
        assert_eq!(pool.free(other), [8102, 8101, 8100]);
        assert!(Pool::new(None).free(one).is_empty());
    }
}
