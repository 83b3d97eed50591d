-- Changes to many subscribers, or to one a little later, that were answered before they are done. A list's changes are
-- made in the order in which they came, each slice in one transaction with the cursor; a row that is done is deleted.
create table subscriber_changes (
  id bigint generated always as identity primary key,
  list_id bigint not null references lists,
  kind text not null
    constraint subscriber_changes_kind check (kind in ('add_tags', 'replace_tags', 'remove_tags', 'update_profile')),
  -- the numbers it is for; null is everybody on the list
  phones bigint[],
  tags text[] not null default '{}',
  profile jsonb,
  -- the last number that is done
  cursor_phone bigint not null default 0,
  created_at timestamptz not null
);
create index subscriber_changes_list on subscriber_changes (list_id, id);
