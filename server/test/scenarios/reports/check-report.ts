import type { OrderedReport, ReportWorld } from './report-world.ts'

/**
 * Returns what is wrong with a complete report, one sentence each: its file must be `text`, its progress must not decrease, its callback must
 * always have the same content, and the store must have nothing else of it.
 */
export async function checkReport(world: ReportWorld, ordered: OrderedReport, text: string): Promise<string[]> {
  const { id, seen } = ordered
  const faults: string[] = []
  const last = seen.at(-1)
  if (!last?.counts_calculated || last.run_errors !== null) return [`the report failed: ${last?.run_errors}`]
  if ((await world.download(last)) !== text) faults.push('the file differs from that of an uninterrupted report')
  const { stored, expected, uploads } = await world.storedParts(id)
  if (String(stored) !== String(expected)) faults.push(`the store has [${stored}] instead of [${expected}]`)
  if (uploads > 0) faults.push(`${uploads} uploads are left over`)
  return [...faults, ...checkProgress(ordered), ...checkCallbacks(world, id)]
}

function checkProgress({ seen }: OrderedReport): string[] {
  const faults: string[] = []
  seen.forEach((report, n) => {
    const before = seen[n - 1]
    if (before && report.percent_complete < before.percent_complete)
      faults.push(`percent_complete went from ${before.percent_complete} to ${report.percent_complete}`)
    if (before && report.processed_rows < before.processed_rows)
      faults.push(`processed_rows went from ${before.processed_rows} to ${report.processed_rows}`)
    if ((report.percent_complete === 100) !== (report.s3_url !== null))
      faults.push(`at ${report.percent_complete} %, s3_url is ${report.s3_url}`)
  })
  return faults
}

function checkCallbacks({ callbacks }: ReportWorld, id: number): string[] {
  const arrivals = callbacks.arrivals.filter(({ body }) => JSON.parse(body).momt_report.id === id)
  const contents = new Set(arrivals.map(({ id, body }) => `${id} ${body}`))
  const faults = [...callbacks.faults]
  if (contents.size !== 1) faults.push(`the callback has the contents [${[...contents]}]`)
  if (!arrivals.some(({ isAcknowledged }) => isAcknowledged)) faults.push('the callback was not acknowledged')
  return faults
}
