-- Receipts still come for what had gone out of a message before it was cancelled: its day is open, too.
drop index messages_open_days;
create index messages_open_days on messages (logged_on)
  where status = 'sending' or (status in ('sent', 'cancelled') and closed_at is null);
