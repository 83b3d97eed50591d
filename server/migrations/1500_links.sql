-- A short URL has 32 bits for the id of its link (links/link-tokens.ts).
create sequence link_ids maxvalue 4294967295;

-- The links of a message that are sent as short URLs, one for each recipient. The URL of a recipient is computed from the
-- link's id and the phone, so it has no row. The counts change in the transaction that inserts the clicks.
create table links (
  id bigint primary key default nextval('link_ids'),
  message_id bigint not null references messages on delete cascade,
  -- its number among the different links of the content, from 0
  position smallint not null,
  -- as in the content
  link text not null,
  click_count bigint not null default 0,
  -- recipients with a click
  unique_click_count bigint not null default 0,
  -- clicks that no rule attributes to a machine
  human_click_count bigint not null default 0,
  -- recipients with such a click
  unique_human_click_count bigint not null default 0,
  -- those of `click_count` whose row in `clicks` was deleted
  deleted_click_count bigint not null default 0
) with (fillfactor = 50);
create unique index links_message on links (message_id, position);

create table clicks (
  id bigint generated always as identity primary key,
  link_id bigint not null references links on delete cascade,
  message_id bigint not null references messages on delete cascade,
  phone bigint not null,
  clicked_at timestamptz not null,
  -- the rule that attributes it to a machine; null for a click of a person
  rule text constraint clicks_rule check (rule in ('head', 'prefetch', 'scanner', 'before_delivery', 'burst'))
);
create index clicks_message on clicks (message_id, id);
create index clicks_phone on clicks (message_id, phone, id);
create index clicks_clicked_at on clicks (clicked_at);

-- What a recipient has clicked. A row exists as long as the message, also when the clicks themselves were deleted.
create table clickers (
  message_id bigint not null references messages on delete cascade,
  phone bigint not null,
  link_id bigint not null,
  click_count bigint not null,
  human_click_count bigint not null,
  first_clicked_at timestamptz not null,
  -- the first click of a person, if there is one
  first_human_clicked_at timestamptz,
  last_clicked_at timestamptz not null,
  primary key (message_id, phone, link_id)
) with (fillfactor = 70);

-- The codes in the links of a broadcast, tracked or not, by which donations are attributed to it (donations/attribution.sql.ts).
create table message_codes (
  message_id bigint not null references messages on delete cascade,
  kind text not null constraint message_codes_kind check (kind in ('refcode', 'utm_campaign')),
  code text not null,
  list_id bigint not null references lists,
  -- when the message was accepted: donations before it have another cause
  accepted_at timestamptz not null,
  -- the first of its links with the code, and the number of that link in the content
  link text not null,
  position smallint not null,
  primary key (message_id, kind, code)
);
create unique index message_codes_latest on message_codes (list_id, kind, code, accepted_at, message_id);

-- The files of clicks that are being stored (links/drain.ts). The row of a file that was deleted may remain if its process was
-- killed between the two.
create table click_spools (
  name text primary key,
  -- the bytes of the file whose clicks are in the database
  stored bigint not null default 0
);
