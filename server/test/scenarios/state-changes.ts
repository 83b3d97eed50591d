import type pg from 'pg'
import { type Transition, transitions } from '../../src/log/transitions.ts'

// Records the changes of log rows' states with the role of the database session, and compares them with the transitions.

/** A change of state that one role made; `from` is null if the row was inserted. */
export type StateChange = { role: string; from: string | null; to: string }

/** Installs a trigger that records each change of state in the same transaction, with the role of the session. */
export async function recordStateChanges(client: pg.Client): Promise<void> {
  await client.query(/* sql */ `
    create table recorded_changes (role text not null, from_state text, to_state text not null);
    create function record_change() returns trigger language plpgsql as $$
    begin
      if tg_op = 'INSERT' then
        insert into recorded_changes values (current_setting('application_name'), null, new.state);
      elsif old.state <> new.state then
        insert into recorded_changes values (current_setting('application_name'), old.state, new.state);
      end if;
      return null;
    end $$;
    create trigger record_change after insert or update of state on message_log
      for each row execute function record_change()`)
}

/** Returns the distinct recorded changes, sorted. */
export async function listStateChanges(client: pg.Client): Promise<StateChange[]> {
  const { rows } = await client.query<StateChange>(/* sql */ `
    select distinct replace(role, 'carillon ', '') as role, from_state as "from", to_state as "to"
      from recorded_changes order by 1, 2, 3`)
  return rows
}

/** Returns the changes that no transition permits to their role. */
export function undeclaredChanges(changes: StateChange[]): StateChange[] {
  const declared = Object.values<Transition>(transitions)
  return changes.filter(
    (change) =>
      !declared.some(
        ({ from, to, by }) => from === change.from && to === change.to && by.some((role) => role === change.role),
      ),
  )
}
