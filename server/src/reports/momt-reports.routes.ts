import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { PageQuery, pageFrom, presentPage } from '../http/pagination.ts'
import { commonErrors, errorResponse } from '../http/schema.ts'
import { makeCallbackUrlCheck } from '../lib/callback-url.ts'
import { linkOf } from './momt-files.ts'
import type { MomtReport } from './momt-reports.queries.ts'
import {
  MomtReportBody,
  MomtReportIdParam,
  MomtReportPage,
  MomtReportResponse,
  presentMomtReport,
  readMomtReport,
} from './momt-reports.schema.ts'
import { cancelReport, getMomtReport, getMomtReportPage, orderMomtReport } from './momt-reports.ts'

const tags = ['Reports']
const params = Type.Object({ momt_report_id: MomtReportIdParam })

export const momtReportRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const { rt } = app
  const faultOfUrl = makeCallbackUrlCheck(rt.config.allowPrivateUrls)
  const present = (report: MomtReport, req: FastifyRequest) =>
    presentMomtReport(report, {
      timeZone: req.account.timeZone,
      link: linkOf(rt.config, report, rt.clock.now()),
    })

  app.post(
    '/momt_reports',
    {
      schema: {
        operationId: 'createMomtReport',
        summary: 'Request a report of the message log',
        description:
          'All texts of the account in a period, in both directions, as a file; the filters, the format and the compression are ' +
          'extensions. A text to a phone belongs to the time at which its message was accepted. Both ends of the period belong to it, ' +
          'so a text at the common end of two periods is in both reports; plain dates have no common end.',
        tags,
        body: MomtReportBody,
        response: {
          200: MomtReportResponse,
          422: errorResponse('The period, a filter or the callback URL is invalid, or too many reports are open.'),
          ...commonErrors,
        },
      },
    },
    async (req) => {
      const report = await orderMomtReport(rt, readMomtReport(req.body, req.account.id, faultOfUrl))
      return { status: 'OK' as const, momt_report: present(report, req) }
    },
  )

  app.get(
    '/momt_reports',
    {
      schema: {
        operationId: 'listMomtReports',
        summary: 'List the reports of the message log',
        description: 'Newest first.',
        'x-extension': true,
        tags,
        querystring: PageQuery,
        response: { 200: MomtReportPage, ...commonErrors },
      },
    },
    async (req) => {
      const page = pageFrom(req.query)
      const found = await getMomtReportPage(rt.db, req.account.id, page)
      return presentPage('momt_reports', page, found, (report) => present(report, req))
    },
  )

  app.get(
    '/momt_reports/:momt_report_id',
    {
      schema: {
        operationId: 'getMomtReport',
        summary: 'Get a report of the message log',
        description: 'A report is complete when `counts_calculated` is true; `s3_url` is then a link to its file.',
        tags,
        params,
        response: { 200: MomtReportResponse, 404: errorResponse('No such report on this account.'), ...commonErrors },
      },
    },
    async (req) => {
      const report = await getMomtReport(rt.db, req.account.id, req.params.momt_report_id)
      return { status: 'OK' as const, momt_report: present(report, req) }
    },
  )

  app.post(
    '/momt_reports/:momt_report_id/cancel',
    {
      schema: {
        operationId: 'cancelMomtReport',
        summary: 'Cancel a report of the message log',
        description: 'What was written of its file is deleted.',
        'x-extension': true,
        tags,
        params,
        response: {
          200: MomtReportResponse,
          404: errorResponse('No such report on this account.'),
          422: errorResponse('The report has ended.'),
          ...commonErrors,
        },
      },
    },
    async (req) => {
      const report = await cancelReport(rt, req.account.id, req.params.momt_report_id)
      return { status: 'OK' as const, momt_report: present(report, req) }
    },
  )
}
