//! A runtime may end while a workspace is open, at any moment: an app that is closed asks nobody.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;

use roost::Roost;

/// The name of the runtime's one thread, by which its panics are told from those of other tests.
const THREAD: &str = "a runtime that ends";

/// The worker's next step begins after the runtime was told to end, and before it looks whether it was: the thread is kept
/// busy until then, and looks so seldom that it runs what waits first.
#[test]
fn a_runtime_that_ends_under_a_worker_prints_no_panic() {
    static PANICS: AtomicUsize = AtomicUsize::new(0);
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if std::thread::current().name() == Some(THREAD) {
            PANICS.fetch_add(1, Ordering::SeqCst);
        }
        before(panic);
    }));

    let dir = tempfile::tempdir().unwrap();
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(1).thread_name(THREAD).event_interval(u32::MAX).enable_all().build().unwrap();
    let workspace = runtime.block_on(async {
        let roost = Roost::builder(dir.path()).paused(true).open().await.unwrap();
        roost.create_workspace("http://127.0.0.1:1", "laptop").await.unwrap()
    });
    let (is_held, held) = channel::<()>();
    runtime.spawn(async move {
        let _held = is_held;
        std::future::pending::<()>().await;
    });
    let (enter, entered) = channel();
    let (go_on, goes_on) = channel::<()>();
    runtime.spawn(async move {
        enter.send(()).unwrap();
        let _ = goes_on.recv();
    });
    entered.recv().unwrap();
    runtime.block_on(workspace.pause()).unwrap(); // a step for the worker, which waits for the thread
    runtime.shutdown_background();
    go_on.send(()).unwrap();

    assert!(held.recv().is_err(), "the runtime has dropped its tasks");
    assert_eq!(PANICS.load(Ordering::SeqCst), 0);
}
