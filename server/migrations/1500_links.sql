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
  unique_human_click_count bigint not null default 0
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
create index clicks_phone on clicks (message_id, phone, clicked_at);
-- whether a recipient, or a person, has opened a link
create index clicks_recipient on clicks (link_id, phone, rule);

-- The files of clicks that are being stored (links/drain.ts). The row of a file that was deleted may remain if its process was
-- killed between the two.
create table click_spools (
  name text primary key,
  -- the bytes of the file whose clicks are in the database
  stored bigint not null default 0
);
