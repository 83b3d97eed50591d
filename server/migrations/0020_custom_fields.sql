-- What a list wants to know of its people besides the profile. The values are in the subscribers' rows.
create table custom_fields (
  id bigint generated always as identity primary key,
  list_id bigint not null references lists,
  key text not null constraint custom_fields_key_form check (key ~ '^[a-z0-9_]+$'),
  label text not null,
  content_type text not null constraint custom_fields_content_type check (content_type in ('text', 'datetime', 'number')),
  max_length integer not null constraint custom_fields_max_length check (max_length between 1 and 9999),
  -- searched for in a value, by RE2
  pattern text,
  default_value text,
  should_validate_regex_via_api boolean not null default false,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  constraint custom_fields_key unique (list_id, key),
  constraint custom_fields_label unique (list_id, label)
);

-- By key: texts, numbers, and instants as UTC texts with milliseconds. The value of a deleted field stays, unseen.
alter table subscribers add column custom_fields jsonb not null default '{}';
