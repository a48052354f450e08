"""The worker's side of ckptd: save, record and resume over the daemon's socket."""
