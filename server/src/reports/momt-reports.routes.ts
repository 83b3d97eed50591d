import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { commonErrors, errorResponse } from '../http/schema.ts'
import { makeCallbackUrlCheck } from '../lib/callback-url.ts'
import {
  MomtReportBody,
  MomtReportIdParam,
  MomtReportResponse,
  presentMomtReport,
  readMomtReport,
} from './momt-reports.schema.ts'
import { getMomtReport, orderMomtReport } from './momt-reports.ts'

const tags = ['Reports']

export const momtReportRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const { rt } = app
  const faultOfUrl = makeCallbackUrlCheck(rt.config.allowPrivateUrls)

  app.post(
    '/momt_reports',
    {
      schema: {
        operationId: 'createMomtReport',
        summary: 'Request a report of the message log',
        description:
          'Contains all texts of the account in a period, in both directions. The request is only stored: no job computes ' +
          'the report yet.',
        tags,
        body: MomtReportBody,
        response: {
          200: MomtReportResponse,
          422: errorResponse('The period or the callback URL is invalid.'),
          ...commonErrors,
        },
      },
    },
    async (req) => {
      const report = await orderMomtReport(rt, readMomtReport(req.body, req.account.id, faultOfUrl))
      return { status: 'OK' as const, momt_report: presentMomtReport(report, req.account.timeZone) }
    },
  )

  app.get(
    '/momt_reports/:momt_report_id',
    {
      schema: {
        operationId: 'getMomtReport',
        summary: 'Get a report of the message log',
        description: 'A report is complete when `counts_calculated` is true.',
        tags,
        params: Type.Object({ momt_report_id: MomtReportIdParam }),
        response: { 200: MomtReportResponse, 404: errorResponse('No such report on this account.'), ...commonErrors },
      },
    },
    async (req) => {
      const report = await getMomtReport(rt.db, req.account.id, req.params.momt_report_id)
      return { status: 'OK' as const, momt_report: presentMomtReport(report, req.account.timeZone) }
    },
  )
}
