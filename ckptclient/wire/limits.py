"""Bounds of the protocol. Each is checked before what it bounds is buffered or believed; the unit stands last."""

PROTOCOL_VERSION = 1

frame_bytes_max = 1 << 20
"""The body of one frame. Larger payloads cross in pieces (`part.write`, `checkpoint.read`)."""

frame_header_bytes = 4
message_depth_max = 64
"""Nesting of a message; a state is opaque bytes inside it, with limits of its own."""

elements_count_max = 8192
"""Elements of one array or map: memory is taken for what a header announces, before the elements are seen. Twice
what any field allows, so that a field with a few too many is refused by its name and not as a broken message."""

message_id_max = (1 << 53) - 1
"""The integers that every language has."""

method_bytes_max = 64

descriptors_max = 16
"""File descriptors with one frame."""

piece_bytes_max = frame_bytes_max - (16 << 10)
"""Bytes of a payload in one frame: what is left after the rest of a message."""

request_ids_kept = 64
"""Answers kept for each session, and so the mutations that a session may have in flight."""

session_bytes = 16
process_id_bytes_max = 255
task_id_bytes_max = 255
checkpoint_id_bytes_max = 600
tag_bytes_max = 128
tags_count_max = 64
description_bytes_max = 4096
metadata_bytes_max = 64 << 10
parts_count_max = 4096
part_name_bytes_max = 255
form_bytes_max = 4096
dependencies_count_max = 64
item_bytes_max = 64 << 10
result_bytes_max = 512 << 10
records_count_max = 1000
page_count_max = 1000
error_bytes_max = 16 << 10
digest_bytes = 16

assert piece_bytes_max < frame_bytes_max < 1 << 31
assert item_bytes_max + result_bytes_max < piece_bytes_max
assert metadata_bytes_max < piece_bytes_max
assert max(parts_count_max, records_count_max, page_count_max) * 2 <= elements_count_max
