import type { Config } from '../config/config.ts'
import { linkMs, signPath } from '../files/signed-links.ts'
import type { Format } from './momt-columns.ts'
import type { MomtReport } from './momt-reports.queries.ts'

type Kind = { format: Format; gzip: boolean }

const extensions: Record<Format, string> = { json: 'jsonl', csv: 'csv', parquet: 'parquet' }
const contentTypes: Record<Format, string> = {
  json: 'application/jsonl; charset=utf-8',
  csv: 'text/csv; charset=utf-8',
  parquet: 'application/vnd.apache.parquet',
}

/** The folder of a report's file in the file store. */
export const folderOf = (report: { id: number; accountId: number }) => `momt_reports/${report.accountId}/${report.id}`

export const fileNameOf = ({ id, format, gzip }: Kind & { id: number }) =>
  `momt-report-${id}.${extensions[format]}${gzip ? '.gz' : ''}`

/** A gzip file stays one: the content encoding would make clients unpack it. */
export const contentTypeOf = ({ format, gzip }: Kind) => (gzip ? 'application/gzip' : contentTypes[format])

export const filePathOf = ({ id, name }: { id: number; name: string }) => `/files/momt_reports/${id}/${name}`

/** Returns a link to a report's file that expires; null if there is no file, or if this process has no secret key. */
export function linkOf(
  config: Pick<Config, 'secretKey' | 'http'>,
  report: MomtReport,
  now: Date,
  validMs = linkMs,
): string | null {
  if (!report.countsCalculated || report.expiredAt !== null) return null
  const path = filePathOf({ id: report.id, name: fileNameOf(report) })
  const query = signPath(config, path, now, validMs)
  return query === undefined ? null : `${config.http.publicUrl}${path}?${query}`
}
