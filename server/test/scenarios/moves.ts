import type pg from 'pg'
import { type Transition, transitions } from '../../src/log/transitions.ts'

// Records which role's database sessions change the state of a log row, and compares the records with the transitions.

/** A change of state that one role made; `from` is null where the row was inserted. */
export type Move = { role: string; from: string | null; to: string }

/** Installs a trigger that records each change of state in the same transaction, with the role of the session. */
export async function recordMoves(client: pg.Client): Promise<void> {
  await client.query(/* sql */ `
    create table recorded_moves (role text not null, from_state text, to_state text not null);
    create function record_move() returns trigger language plpgsql as $$
    begin
      if tg_op = 'INSERT' then
        insert into recorded_moves values (current_setting('application_name'), null, new.state);
      elsif old.state <> new.state then
        insert into recorded_moves values (current_setting('application_name'), old.state, new.state);
      end if;
      return null;
    end $$;
    create trigger record_move after insert or update of state on message_log
      for each row execute function record_move()`)
}

/** Returns the recorded changes, each once; sorted. */
export async function recordedMoves(client: pg.Client): Promise<Move[]> {
  const { rows } = await client.query<Move>(/* sql */ `
    select distinct replace(role, 'carillon ', '') as role, from_state as "from", to_state as "to"
      from recorded_moves order by 1, 2, 3`)
  return rows
}

/** Returns the changes that no transition gives to the role that made them. */
export function undeclared(moves: Move[]): Move[] {
  const declared = Object.values<Transition>(transitions)
  return moves.filter(
    (move) =>
      !declared.some(({ from, to, by }) => from === move.from && to === move.to && by.some((r) => r === move.role)),
  )
}
