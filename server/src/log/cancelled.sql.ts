/**
 * Returns an SQL condition for the cancelled messages that may have queued or submitting rows, with the alias `m`. A message is
 * billed when it has none, and from then on it gets none, unless its unknown texts were requeued before it was cancelled.
 */
export const mayHaveOpenRows = (m: string) => /* sql */ `
  (${m}.status = 'cancelled' and ${m}.closed_at is null and (${m}.billed_at is null or ${m}.requeued_at is not null))`
