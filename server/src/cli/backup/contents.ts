import {
  BackupError,
  type BackupHeader,
  type Frame,
  type JobFrame,
  type SequenceFrame,
  type Summary,
  type TableFrame,
} from './frames.ts'

// The JSON in frames, checked: a file that is restored with --unsigned may contain anything.

/** Returns the header; throws BackupError if it is not one of Carillon. */
export function readHeader(frame: Frame): BackupHeader {
  const header = frame.kind === 'H' ? parse(frame) : undefined
  if (!isRecord(header) || header.product !== 'carillon') throw new BackupError('it is not a backup of Carillon')
  const { mode, createdAt, migrations } = header
  check(mode === 'sandbox' || mode === 'production', frame)
  check(typeof createdAt === 'string' && /^[\dT:.Z-]{20,30}$/.test(createdAt), frame)
  check(Array.isArray(migrations), frame)
  return {
    product: 'carillon',
    mode: mode as BackupHeader['mode'],
    createdAt: createdAt as string,
    migrations: (migrations as unknown[]).map((migration) => {
      check(isRecord(migration) && typeof migration.name === 'string' && typeof migration.hash === 'string', frame)
      const { name, hash } = migration as { name: string; hash: string }
      return { name, hash }
    }),
  }
}

export function readTable(frame: Frame): TableFrame {
  const table = parse(frame)
  check(isRecord(table) && typeof table.name === 'string' && Array.isArray(table.columns), frame)
  const { name, columns } = table as { name: string; columns: unknown[] }
  check(
    columns.every((column) => typeof column === 'string'),
    frame,
  )
  return { name, columns: columns as string[] }
}

/** Returns the number of rows at the end of a table. */
export function readRowCount(frame: Frame): number {
  const end = parse(frame)
  check(isRecord(end) && Number.isSafeInteger(end.rows), frame)
  return (end as { rows: number }).rows
}

export function readSequences(frame: Frame): SequenceFrame[] {
  const sequences = parse(frame)
  check(Array.isArray(sequences), frame)
  return (sequences as unknown[]).map((sequence) => {
    check(isRecord(sequence) && typeof sequence.name === 'string' && typeof sequence.isCalled === 'boolean', frame)
    const { name, lastValue, isCalled } = sequence as SequenceFrame
    check(typeof lastValue === 'string' && /^\d{1,19}$/.test(lastValue), frame)
    return { name, lastValue, isCalled }
  })
}

/** Returns jobs; their data has only ids, as that of all jobs that can be waiting. */
export function readJobs(frame: Frame): JobFrame[] {
  const jobs = parse(frame)
  check(Array.isArray(jobs), frame)
  return (jobs as unknown[]).map((job) => {
    check(isRecord(job) && typeof job.name === 'string' && isRecord(job.data), frame)
    const { name, data } = job as JobFrame
    check(
      Object.values(data).every((id) => Number.isSafeInteger(id)),
      frame,
    )
    return { name, data }
  })
}

export function readSummary(frame: Frame): Summary {
  const summary = parse(frame)
  check(isRecord(summary) && Number.isSafeInteger(summary.tables) && Number.isSafeInteger(summary.rows), frame)
  return summary as Summary
}

function parse({ kind, content }: Frame): unknown {
  try {
    return JSON.parse(content.toString())
  } catch {
    throw malformed(kind)
  }
}

function check(isValid: boolean, { kind }: Frame): void {
  if (!isValid) throw malformed(kind)
}

function malformed(kind: string): BackupError {
  return new BackupError(`its frame ${kind} is malformed`)
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
