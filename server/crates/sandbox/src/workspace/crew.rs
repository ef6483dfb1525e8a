//! A few threads that work off a stack of tasks, which tasks add to.

use std::io;
use std::sync::{Condvar, Mutex, PoisonError};

pub(super) struct Crew<T> {
    waiting: Mutex<Waiting<T>>,
    more: Condvar,
}

struct Waiting<T> {
    tasks: Vec<T>,
    busy: usize,
    failed: bool,
}

/// How many threads are worth it on this machine.
pub(super) fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, |n| n.get()).min(4)
}

/// Works until no task is left, on this thread and `threads - 1` more; each gathers its findings. The first error ends all.
pub(super) fn work_off<T: Send, F: Default + Send>(
    threads: usize,
    first: T,
    work: impl Fn(&Crew<T>, &mut F, T) -> io::Result<()> + Sync,
) -> io::Result<Vec<F>> {
    let crew = Crew { waiting: Mutex::new(Waiting { tasks: vec![first], busy: 0, failed: false }), more: Condvar::new() };
    let turn = || {
        let mut found = F::default();
        while let Some(task) = crew.next() {
            let done = work(&crew, &mut found, task);
            crew.done(done.is_err());
            done?;
        }
        Ok(found)
    };
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(turn)).collect();
        let mut all = vec![turn()];
        all.extend(others.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err(io::Error::other("a thread panicked")))));
        all.into_iter().collect()
    })
}

impl<T> Crew<T> {
    pub fn add(&self, task: T) {
        self.lock().tasks.push(task);
        self.more.notify_one();
    }

    fn next(&self) -> Option<T> {
        let mut waiting = self.lock();
        loop {
            if waiting.failed {
                return None;
            }
            if let Some(task) = waiting.tasks.pop() {
                waiting.busy += 1;
                return Some(task);
            }
            if waiting.busy == 0 {
                return None;
            }
            waiting = self.more.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn done(&self, failed: bool) {
        let mut waiting = self.lock();
        waiting.busy -= 1;
        waiting.failed |= failed;
        if waiting.failed || waiting.busy == 0 {
            self.more.notify_all();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting<T>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_added_is_worked_off_and_an_error_ends_all() {
        let count = |crew: &Crew<u32>, found: &mut Vec<u32>, n: u32| {
            (0..n).for_each(|below| crew.add(below));
            found.push(n);
            Ok(())
        };
        for threads in [1, 3] {
            let found: Vec<u32> = work_off(threads, 6, count).unwrap().into_iter().flatten().collect();
            assert_eq!(found.len(), 64, "each number adds all below it");
        }
        let fail = |crew: &Crew<u32>, _: &mut (), n: u32| {
            crew.add(n + 1);
            if n == 50 { Err(io::Error::other("fifty")) } else { Ok(()) }
        };
        assert!(work_off(2, 0, fail).is_err());
    }
}
