"""The transactional record of processes, checkpoints, references and leases; `interface` states the obligations."""
