import type { SweepName } from './failures.queries.ts'

/**
 * Returns an SQL condition for the messages of a round: those whose work has not failed, or if the parameter with
 * the number `only` is not null, that message. Work that has failed is retried alone, so that it delays no other message.
 */
export function ofRound(sweep: SweepName, messageId: string, only: number): string {
  return /* sql */ `
       case when $${only}::bigint is not null then ${messageId} = $${only}
            else not exists (select from message_failures f where f.message_id = ${messageId} and f.sweep = '${sweep}') end`
}
