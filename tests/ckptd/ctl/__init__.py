"""`ckptctl`: every verb against canned replies, its contracts, and one run against a real daemon."""
