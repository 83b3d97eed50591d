-- what has ended is kept for a while, to be looked at, and then forgotten
create index receipts_ended on receipts (ended_at) where outcome <> 'waiting';
