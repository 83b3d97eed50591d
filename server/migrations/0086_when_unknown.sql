-- What becomes, at the receipt deadline, of a text of which nobody can tell whether it was sent: it is left alone, or
-- queued once more.
alter table lists
  add column when_unknown text not null default 'never_twice'
    constraint lists_when_unknown check (when_unknown in ('never_twice', 'never_miss'));

-- when texts of unknown end were queued once more: receipts are waited for from then on
alter table messages add column again_at timestamptz;
