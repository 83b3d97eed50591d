-- What each process measures of itself, told with its heartbeat, so that one scrape of any api shows all of them.
alter table heartbeats add column metrics jsonb;
