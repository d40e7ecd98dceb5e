//! A TCP proxy: counts what goes through, and can be cut.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;

/// A cable between a device and a server.
pub struct Cable {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    is_cut: AtomicBool,
    up: AtomicU64,
    down: AtomicU64,
    written_down: Mutex<Option<File>>,
    open: Mutex<Vec<TcpStream>>,
}

impl Cable {
    /// To the server on `port` of this machine, once [`Cable::plug`] says where.
    pub fn new() -> std::io::Result<(Self, TcpListener)> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        Ok((Self { port, shared: Arc::default() }, listener))
    }

    /// Carries from now on.
    pub fn plug(&self, listener: TcpListener, server_port: u16) {
        let shared = Arc::clone(&self.shared);
        std::thread::spawn(move || {
            for device in listener.incoming().map_while(Result::ok) {
                if shared.is_cut.load(Ordering::Relaxed) {
                    continue; // dropped at once
                }
                let Ok(server) = TcpStream::connect(("127.0.0.1", server_port)) else { continue };
                let _ = device.set_nodelay(true).and_then(|()| server.set_nodelay(true));
                carry(&shared, &device, &server, |shared| &shared.up);
                carry(&shared, &server, &device, |shared| &shared.down);
                shared.open.lock().extend([device, server]);
            }
        });
    }

    /// `http://127.0.0.1:PORT`
    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Cuts every connection, in the middle of whatever it carries, and lets no new one through.
    pub fn cut(&self) {
        self.shared.is_cut.store(true, Ordering::Relaxed);
        for stream in self.shared.open.lock().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Lets new connections through again.
    pub fn mend(&self) {
        self.shared.is_cut.store(false, Ordering::Relaxed);
    }

    /// Writes down from now on what goes through, either way.
    pub fn write_down(&self, file: File) {
        *self.shared.written_down.lock() = Some(file);
    }

    /// Bytes the devices sent.
    pub fn up_bytes(&self) -> u64 {
        self.shared.up.load(Ordering::Relaxed)
    }
}

fn carry(shared: &Arc<Shared>, from: &TcpStream, to: &TcpStream, counter: fn(&Shared) -> &AtomicU64) {
    let (Ok(mut from), Ok(mut to)) = (from.try_clone(), to.try_clone()) else { return };
    let shared = Arc::clone(shared);
    std::thread::spawn(move || {
        let mut buffer = [0; 16 * 1024];
        while let Ok(len) = from.read(&mut buffer) {
            if len == 0 {
                break;
            }
            // Before it is passed on: who got the answer finds it written down.
            counter(&shared).fetch_add(len as u64, Ordering::Relaxed);
            if let Some(file) = shared.written_down.lock().as_mut() {
                let _ = file.write_all(&buffer[..len]); // the test that reads it finds it missing
            }
            if to.write_all(&buffer[..len]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    });
}
