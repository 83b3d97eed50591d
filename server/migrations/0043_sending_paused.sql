-- A restored copy sends nothing until it is told to: the original may still be running.
alter table installation add column sending_paused boolean not null default false;
