-- The steps of a list's double opt-in, asked in the order of `place`. They stay while the list is set to single.
create table opt_in_requests (
  id bigint generated always as identity primary key,
  list_id bigint not null references lists,
  place smallint not null,
  collected_data text not null constraint opt_in_requests_collected_data
    check (collected_data in ('zip_code', 'email_address', 'first_name', 'yes')),
  request_message text,
  retry_message text,
  follow_up boolean not null,
  follow_up_hour smallint,
  no_response_message text,
  -- null on the last step means optinsubscriber, on the others nextrequest
  success_action text constraint opt_in_requests_success_action
    check (success_action in ('nextrequest', 'optinsubscriber')),
  opt_in_message text,
  second_opt_in_message text,
  bypass_opt_in_response boolean not null,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  constraint opt_in_requests_place unique (list_id, place)
);
