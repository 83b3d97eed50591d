-- Rules that the vendor keeps in its web product.
alter table lists
  -- how long an unanswered confirmation text keeps a second one from going out
  add column resend_block_hours smallint not null default 48
    constraint lists_resend_block check (resend_block_hours between 0 and 48),
  -- how long nobody but the person can put a number back that has opted out
  add column resubscribe_timeout_hours smallint not null default 48
    constraint lists_resubscribe_timeout check (resubscribe_timeout_hours between 0 and 720),
  -- newcomers are greeted by somebody else
  add column bypass_opt_in_response boolean not null default false;

-- The short codes that a list sent from before it moved to another. Who answers STOP to one of them means the list.
create table former_short_codes (
  short_code_id bigint not null references short_codes,
  list_id bigint not null references lists,
  primary key (short_code_id, list_id)
);
