//! Calls into the query engine: a hostile file gives a message, whether the engine returns an error or panics.

use std::any::Any;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel, sync_channel};
use std::time::Duration;

use polars::prelude::{DataFrame, Engine, LazyFrame, PlanCallback, PolarsResult, polars_err};

/// What a failing call says, on one line.
pub(crate) type Outcome<T> = std::result::Result<T, String>;

/// Number of guarded calls under way, in any thread.
static GUARDED: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static HERE: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work`; neither its error nor its panic reaches the terminal.
pub(crate) fn guarded<T>(work: impl FnOnce() -> PolarsResult<T>) -> Outcome<T> {
    silence_guarded_panics();
    GUARDED.fetch_add(1, Ordering::SeqCst);
    let outer = HERE.replace(true);
    // What `work` holds is dropped on a panic, so that nothing half-changed is seen afterwards.
    let outcome = panic::catch_unwind(AssertUnwindSafe(work));
    HERE.set(outer);
    GUARDED.fetch_sub(1, Ordering::SeqCst);
    match outcome {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(first_line(&error.to_string())),
        Err(panic) => Err(first_line(&panic_text(panic.as_ref()))),
    }
}

/// Runs a query on the streaming engine.
pub(crate) fn collect(frame: LazyFrame) -> Outcome<DataFrame> {
    guarded(|| Ok(frame.collect_with_engine(Engine::Streaming)?.unwrap_single()))
}

/// Batches that the engine may have ready before they are taken: it goes on while one takes longer than the others.
const AHEAD: usize = 2;

/// Runs a query on the streaming engine, which never holds all its rows: `take` gets them batch by batch, one at a time
/// and in no certain order. Meanwhile `heard` is told how many rows it has had.
pub(crate) fn fold<S: Send>(
    frame: LazyFrame,
    mut state: S,
    take: impl Fn(&mut S, DataFrame) -> PolarsResult<()> + Send,
    heard: &dyn Fn(u64),
) -> Outcome<S> {
    const PAUSE: Duration = Duration::from_millis(200);
    let rows = AtomicU64::new(0);
    let (send, batches) = sync_channel::<Option<DataFrame>>(AHEAD);
    let (running, is_running) = channel::<()>();
    let counter = &rows;
    let (read, taken) = std::thread::scope(|scope| {
        let taking = scope.spawn(move || {
            // Dropped at the end, which is heard.
            let _running = running;
            // However this ends, `batches` ends with it, and so does the query.
            guarded(move || {
                while let Ok(Some(batch)) = batches.recv() {
                    let height = batch.height() as u64;
                    take(&mut state, batch)?;
                    counter.fetch_add(height, Ordering::Relaxed);
                }
                Ok(state)
            })
        });
        let query = scope.spawn(move || {
            let end = send.clone();
            let callback = move |batch: DataFrame| {
                send.send(Some(batch)).map_err(|_| polars_err!(ComputeError: "nobody takes the rows"))?;
                Ok(false)
            };
            let read = guarded(|| {
                let sink = frame.sink_batches(PlanCallback::new(callback), false, None)?;
                sink.collect_with_engine(Engine::Streaming)
            });
            // Whoever takes them has failed, or hears that these were all.
            let _ = end.send(None);
            read
        });
        while is_running.recv_timeout(PAUSE) == Err(RecvTimeoutError::Timeout) {
            heard(rows.load(Ordering::Relaxed));
        }
        let read = query.join().unwrap_or_else(|panic| panic::resume_unwind(panic));
        (read, taking.join().unwrap_or_else(|panic| panic::resume_unwind(panic)))
    });
    let state = taken?;
    read.map(|_| state)
}

/// The same for several queries in turn, as if they were one.
pub(crate) fn fold_all<S: Send>(
    frames: Vec<LazyFrame>,
    mut state: S,
    take: impl Fn(&mut S, DataFrame) -> PolarsResult<()> + Sync,
    heard: &dyn Fn(u64),
) -> Outcome<S> {
    let mut before = 0;
    for frame in frames {
        let counted = Cell::new(before);
        let hear = |rows: u64| {
            counted.set(before + rows);
            heard(before + rows);
        };
        state = fold(frame, state, |state, batch| take(state, batch), &hear)?;
        before = counted.get();
    }
    Ok(state)
}

/// The message of a panic in a guarded call is returned, and so must not be printed as well. The hook is set once for
/// the whole process, because the engine panics in worker threads of its own.
fn silence_guarded_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let print = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let worker = std::thread::current()
                .name()
                .is_some_and(|name| ["polars", "async-executor", "tokio"].iter().any(|kind| name.starts_with(kind)));
            let silent = HERE.get() || (worker && GUARDED.load(Ordering::SeqCst) > 0);
            if !silent {
                print(info);
            }
        }));
    });
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("the engine gave up").to_owned()
}

/// The rest of an engine's message is advice on its own options.
fn first_line(message: &str) -> String {
    let line = message.lines().find(|line| !line.trim().is_empty()).unwrap_or("unknown reason").trim();
    line.trim_end_matches(['.', ':']).chars().take(300).collect()
}

#[cfg(test)]
mod tests {
    use polars::prelude::{Column, IntoLazy, col};

    use super::*;

    #[test]
    fn whoever_fails_first_ends_a_query_that_is_taken_batch_by_batch() {
        let numbers: Vec<i64> = (0..300_000).collect();
        let rows = DataFrame::new(numbers.len(), vec![Column::new("n".into(), numbers)]).unwrap().lazy();
        let quiet: &dyn Fn(u64) = &|_| {};
        let count = |rows: LazyFrame| {
            fold(
                rows,
                0,
                |count, batch| {
                    *count += batch.height();
                    Ok(())
                },
                quiet,
            )
        };
        assert_eq!(count(rows.clone()), Ok(300_000));
        assert!(count(rows.clone().select([col("absent")])).unwrap_err().contains("absent"));
        let refused = fold(rows.clone(), (), |(), _| Err(polars_err!(ComputeError: "no room")), quiet);
        assert_eq!(refused, Err("no room".into()));
        assert_eq!(fold(rows, (), |(), _| panic!("lost"), quiet), Err("lost".into()));
    }

    #[test]
    fn a_panic_becomes_a_message() {
        let outcome = guarded::<()>(|| panic!("byte {} is missing\nsecond line", 7));
        assert_eq!(outcome, Err("byte 7 is missing".into()));
    }
}
