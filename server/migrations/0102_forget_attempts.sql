-- Tries are written in the order of their days, so that the old ones are found by a few pages a day.
create index submit_attempts_day on submit_attempts using brin (logged_on) with (autosummarize = on);
