-- The days whose log a receipt or an opt-out may still be for, found by stepping from day to day: each text to one number
-- is a message of its own, so there are many to each day.
create index messages_open_days on messages (logged_on) where status = 'sending' or (status = 'sent' and closed_at is null);
