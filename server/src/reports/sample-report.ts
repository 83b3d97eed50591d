import type { MomtReport } from './momt-reports.queries.ts'
import { presentMomtReport } from './momt-reports.schema.ts'

type Given = { accountId: number; timeZone: string; at: Date; webhookCallbackUrl: string | null }

/** Returns a made-up report of a day that has ended, as its callback presents it (JSON). Its id is 0, and it has no file. */
export function sampleReport({ accountId, timeZone, at, webhookCallbackUrl }: Given): string {
  const report: MomtReport = {
    ...{ id: 0, accountId, format: 'json', gzip: false, webhookCallbackUrl },
    ...{ dateFrom: new Date(at.getTime() - 86_400_000), dateFromOffset: 'Z', dateTo: at, dateToOffset: 'Z' },
    filters: {
      ...{ direction: null, statuses: null, messageType: null, shortCode: null, listId: null, messageId: null },
      ...{ carrier: null, phone: null, reason: null, clicked: null, link: null },
    },
    ...{ totalRows: 100, processedRows: 100, moCount: 3, mtCount: 97, countsCalculated: true },
    ...{ importStartedAt: at, importCompletedAt: at, createdAt: at, updatedAt: at },
    ...{ runErrors: null, cancelled: null, expiredAt: null },
  }
  return JSON.stringify(presentMomtReport(report, { timeZone, link: null }))
}
