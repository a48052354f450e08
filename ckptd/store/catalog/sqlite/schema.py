"""The tables, with the reason for what is unusual; `docs/FORMAT.md` explains them to somebody without ckptd.

A small save touches four B-trees: checkpoint, checkpoint_seq, checkpoint_due and process. Whatever else there is to
write is written once a batch (counters), once a large save (bodies, chunks), or when it happens (events).
Times are microseconds since 1970, UTC. Tables that nothing writes yet are there because a format is not changed later.
"""

FORMAT = 1
"""Raised when an older release could no longer read what is written; a higher one than ours is refused at opening."""

SCHEMA = """
CREATE TABLE store(k TEXT PRIMARY KEY, v) WITHOUT ROWID;
-- dim 0: checkpoints by status, 1: by type, 2: by place (0 live, 1 trash) with their bytes
CREATE TABLE counter(uid INT, dim INT, value INT, n INT, logical INT, stored INT, PRIMARY KEY(uid,dim,value)) WITHOUT ROWID;
CREATE TABLE quota(uid INT PRIMARY KEY, logical_max INT, stored_max INT, count_max INT);
CREATE TABLE grants(uid INT, to_uid INT, process_glob TEXT, role INT, PRIMARY KEY(uid,to_uid,process_glob)) WITHOUT ROWID;

-- a row per incarnation; answers = the last 64 answers of each session; checkpoints = those not in the trash
CREATE TABLE process(k INTEGER PRIMARY KEY, uid INT, process_id TEXT, now INT, incarnation BLOB, epoch INT, state INT,
  task_id TEXT, description TEXT, boot_id BLOB, holder_pid INT, holder_start INT, session BLOB, answers BLOB,
  total INT, completed INT, step TEXT, batch TEXT, metadata BLOB, done INT, failed INT, speed BLOB, progress_at INT,
  fingerprint BLOB, schema_version INT, policy BLOB, abandon_after INT, sequence BLOB, mode INT, head INT, next_seq INT,
  next_pos INT, deaths INT, checkpoints INT, registered_at INT, ended_at INT);
CREATE UNIQUE INDEX process_now ON process(uid,process_id) WHERE now=1;
CREATE INDEX process_all ON process(process_id,k,uid);
CREATE INDEX process_state ON process(state,k) WHERE now=1;
CREATE INDEX process_old ON process(checkpoints,k) WHERE now=0;
CREATE TABLE member(process INT, epoch INT, member BLOB, answers BLOB, PRIMARY KEY(process,epoch,member)) WITHOUT ROWID;
CREATE TABLE request(session BLOB, seq INT, answer BLOB, at INT, PRIMARY KEY(session,seq)) WITHOUT ROWID;
CREATE INDEX request_at ON request(at);

-- k = commit order; the status is derived from place and process; small = the bytes of a small checkpoint, in the row
CREATE TABLE checkpoint(k INTEGER PRIMARY KEY, process INT, seq INT, epoch INT, type INT, place INT, created_at INT,
  expires_at INT, ended_at INT, pinned INT, class INT, logical INT, own INT, journal_pos INT, attempts INT, proven_at INT,
  archive INT, schema_version INT, has_state INT, checksum BLOB, task_id TEXT, description TEXT, metadata BLOB, alias TEXT,
  manifest BLOB, small BLOB);
CREATE UNIQUE INDEX checkpoint_seq ON checkpoint(process,seq);
CREATE INDEX checkpoint_trash ON checkpoint(ended_at) WHERE place=1;
CREATE INDEX checkpoint_due ON checkpoint(expires_at) WHERE place=0 AND pinned=0 AND expires_at IS NOT NULL;
CREATE INDEX checkpoint_pin ON checkpoint(process) WHERE pinned=1;
CREATE INDEX checkpoint_archived ON checkpoint(expires_at) WHERE place=2;
CREATE TABLE alias(id TEXT, uid INT, checkpoint INT, PRIMARY KEY(id,uid)) WITHOUT ROWID;
CREATE TABLE tag(tag TEXT, checkpoint INT, PRIMARY KEY(tag,checkpoint)) WITHOUT ROWID;
CREATE INDEX tag_of ON tag(checkpoint);
CREATE TABLE dependency(checkpoint INT, needs INT, PRIMARY KEY(checkpoint,needs)) WITHOUT ROWID;
CREATE INDEX dependency_of ON dependency(needs);

-- a row per GiB of a part: an unchanged part costs one reference, not one per chunk; names and forms are in the manifest
CREATE TABLE part(checkpoint INT, ordinal INT, extent INT, body INT, PRIMARY KEY(checkpoint,ordinal,extent)) WITHOUT ROWID;
CREATE INDEX part_body ON part(body);
CREATE TABLE body(k INTEGER PRIMARY KEY, ns INT, hash BLOB, bytes INT, refs INT, chunks BLOB);
CREATE UNIQUE INDEX body_hash ON body(ns,hash);
CREATE INDEX body_free ON body(k) WHERE refs=0;
-- state 0 LIVE, 1 ZERO (no reference), 2 CONDEMNED; refs = bodies + deltas
CREATE TABLE chunk(k INTEGER PRIMARY KEY, ns INT, id BLOB, state INT, since INT, refs INT, pack INT, at INT, stored INT,
  bytes INT, encoding INT, base INT, depth INT);
CREATE UNIQUE INDEX chunk_id ON chunk(ns,id);
CREATE INDEX chunk_pack ON chunk(pack,at);
CREATE INDEX chunk_dying ON chunk(state,since) WHERE state>0;
CREATE INDEX chunk_base ON chunk(base) WHERE base IS NOT NULL;
CREATE TABLE body_of(chunk INT, body INT, PRIMARY KEY(chunk,body)) WITHOUT ROWID;
-- bytes and live are whole records, headers too; live is what has a row in chunk or note; class = lifetime class
CREATE TABLE pack(k INTEGER PRIMARY KEY, name TEXT UNIQUE, ns INT, class INT, state INT, bytes INT, live INT,
  wrapped_key BLOB, key_version INT, created_at INT, scrubbed_at INT);
CREATE INDEX pack_live ON pack(state,live);
-- where the record of a checkpoint lies, from which a lost catalog is made again
CREATE TABLE note(checkpoint INTEGER PRIMARY KEY, pack INT, at INT, stored INT);
CREATE INDEX note_pack ON note(pack,at);
CREATE TABLE damage(pack INT, at INT, bytes INT, chunk INT, found_at INT, how TEXT, state INT, PRIMARY KEY(pack,at)) WITHOUT ROWID;

-- an item is known by its ordinal, or by ordinal -1 and the digest of its key; journal_item = the newest record of each
CREATE TABLE journal(process INT, pos INT, epoch INT, member BLOB, kind INT, ordinal INT, digest BLOB, item BLOB,
  result BLOB, body INT, at INT, PRIMARY KEY(process,pos)) WITHOUT ROWID;
CREATE TABLE journal_item(process INT, ordinal INT, digest BLOB, pos INT, kind INT,
  PRIMARY KEY(process,ordinal,digest)) WITHOUT ROWID;
-- one row a rewind: records and checkpoints in the half-open ranges are set aside, and never rewritten
CREATE TABLE journal_cut(process INT, after_pos INT, upto_pos INT, after_seq INT, upto_seq INT, epoch INT,
  PRIMARY KEY(process,after_pos,after_seq)) WITHOUT ROWID;
CREATE TABLE suspect(process INT, item BLOB, ordinal INT, attempts INT, evidence TEXT, PRIMARY KEY(process,item)) WITHOUT ROWID;

-- the last drill of each process: which checkpoint was read whole, and how many damaged ones it walked past
CREATE TABLE proof(process INTEGER PRIMARY KEY, tried_at INT, proven_at INT, checkpoint INT, seq INT, damaged INT);
CREATE INDEX proof_broken ON proof(process) WHERE damaged>0;

CREATE TABLE group_save(k INTEGER PRIMARY KEY, process INT, epoch INT, name TEXT, ranks INT, deadline INT, state INT,
  UNIQUE(process,epoch,name));
CREATE TABLE group_part(grp INT, rank INT, ordinal INT, extent INT, name TEXT, form BLOB, body INT,
  PRIMARY KEY(grp,rank,ordinal,extent)) WITHOUT ROWID;
CREATE TABLE audit(seq INTEGER PRIMARY KEY, at INT, entries BLOB, hash BLOB);
CREATE TABLE event(seq INTEGER PRIMARY KEY AUTOINCREMENT, at INT, uid INT, process INT, process_id TEXT, kind TEXT, data BLOB);
CREATE TABLE archive(k INTEGER PRIMARY KEY, name TEXT UNIQUE, checkpoint INT, state INT, bytes INT, checksum BLOB);
CREATE TABLE backup(k INTEGER PRIMARY KEY, at INT, state INT, checksum BLOB, drilled_at INT);
CREATE TABLE backup_pack(backup INT, pack INT, PRIMARY KEY(backup,pack)) WITHOUT ROWID;
CREATE INDEX backup_pack_of ON backup_pack(pack);
"""
