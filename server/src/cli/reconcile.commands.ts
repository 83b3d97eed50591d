import { readDate } from '../lib/dates.ts'
import { reconcile } from '../reports/reconcile.ts'
import { textOf } from './arguments.ts'
import { type CliCommand, type CommandContext, table, UsageError } from './command.ts'

const reconcileCommand: CliCommand = {
  name: 'reconcile',
  summary: 'Count the log again and compare it with the counters of messages and lists',
  options: {
    from: { value: 'YYYY-MM-DD', help: 'The first day (UTC) of messages to compare' },
    to: { value: 'YYYY-MM-DD', help: 'The last day (UTC) of messages to compare' },
  },
  notes: [
    'Without a period, all days, and also the counts of lists and of received texts. Changes nothing, and texts may be sent',
    'meanwhile. Prints the differences; the exit code is 1 if there are any.',
  ],
  async run(context) {
    const [from, to] = [readDay(context, 'from'), readDay(context, 'to')]
    const hasPeriod = from !== undefined || to !== undefined
    const period = hasPeriod ? { from: from ?? '0001-01-01', to: to ?? '9999-12-31' } : null
    const { differences, differenceCount, ...compared } = await reconcile(context.db, period)
    const rows = differences.map((one) => [one.subject, one.counter, String(one.stored), String(one.recomputed)])
    const { days, archivedDays, messages, lists, listsWithReceived } = compared
    const ofArchives = archivedDays === 0 ? '' : `, ${archivedDays} archived days`
    const ofLists = hasPeriod ? '' : `, ${lists} lists, the received texts of ${listsWithReceived} lists`
    const summary = `Compared ${messages} messages of ${days} days${ofArchives}${ofLists}. Differences: ${differenceCount}.`
    return {
      lines: [...(rows.length > 0 ? table(['SUBJECT', 'COUNTER', 'STORED', 'RECOMPUTED'], rows) : []), summary],
      json: {
        days,
        archived_days: archivedDays,
        messages,
        lists,
        lists_with_received: listsWithReceived,
        difference_count: differenceCount,
        differences,
      },
      hasFailed: differenceCount > 0,
    }
  },
}

function readDay(context: CommandContext, name: string): string | undefined {
  const text = textOf(context, name)
  if (text === undefined) return undefined
  const day = readDate(text)
  if (day === undefined) throw new UsageError(`--${name} must be a date (YYYY-MM-DD), not ${text}`)
  return day
}

export const reconcileCommands: CliCommand[] = [reconcileCommand]
