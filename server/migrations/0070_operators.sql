-- Who may change what belongs to the whole installation, such as connections. The first account may.
alter table accounts add column is_operator boolean not null default false;
update accounts set is_operator = true where id = (select min(id) from accounts);
