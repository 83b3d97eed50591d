-- Who sent STOP to a short code and has not opted in on one of its lists since. A list's subscribers say it by their
-- state; this says it for texts that go to no list, and for numbers that were on none.
create table blocks (
  short_code_id bigint not null references short_codes,
  phone bigint not null,
  since timestamptz not null,
  primary key (short_code_id, phone)
);
insert into blocks (short_code_id, phone, since)
select s.id, i.phone, max(i.received_at)
  from inbound_messages i
  join short_codes s on s.code = i.short_code
 where i.meaning = 'opt_out'
   and not exists (select from subscribers b join lists l on l.id = b.list_id
                    where l.short_code_id = s.id and b.phone = i.phone and b.state = 'subscribed')
 group by s.id, i.phone;

alter table messages
  drop constraint messages_consent,
  -- not_blocked is not_opted_out, and no STOP to the short code either
  add constraint messages_consent check (consent in ('subscribed', 'not_opted_out', 'not_blocked', 'answer')),
  -- where the result of a transactional message and the replies to it are told
  add column webhook_callback_url text;
