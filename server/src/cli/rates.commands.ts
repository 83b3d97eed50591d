import { carrierName } from '../carriers/carriers.ts'
import { OperatorError } from '../errors.ts'
import { utcDay } from '../lib/clock.ts'
import { type Channel, deleteRate, listRates, type Rate, upsertRate } from '../rates/rates.queries.ts'
import { readCarrier, readPrice, readSince } from '../rates/rates.ts'
import { resolveAccount, textOf } from './arguments.ts'
import { type CliCommand, type CommandContext, table, UsageError } from './command.ts'

const set: CliCommand = {
  name: 'rate set',
  summary: 'Set the price of one part of a text',
  options: {
    price: { value: 'dollars', help: 'Price of one part, such as 0.0079', required: true },
    carrier: { value: 'name or number', help: 'Only for handsets of this carrier; by default any' },
    account: {
      value: 'id or email',
      help: 'Only for this account; by default all accounts without a rate of their own',
    },
    channel: { value: 'sms or mms', help: 'By default sms' },
    since: { value: 'day', help: 'First day (UTC); by default today' },
    source: { value: 'text', help: 'Source of the price' },
  },
  notes: [
    "An account's own rate takes precedence over a general rate, then a carrier's rate over a rate of any carrier, then the",
    'latest rate.',
    'A message is billed by the rates of the day it was accepted. Setting a rate again corrects the rate of that day.',
  ],
  async run(context) {
    const rate = await upsertRate(context.db, {
      accountId: textOf(context, 'account') ? (await resolveAccount(context)).id : null,
      channel: readOption(context, 'channel', channelOf, 'sms or mms') ?? 'sms',
      carrier: readOption(context, 'carrier', readCarrier, 'a carrier of the table, by name or number') ?? null,
      price: readOption(context, 'price', readPrice, 'dollars such as 0.0079') ?? '0',
      since: readOption(context, 'since', readSince, 'a day such as 2031-05-06') ?? utcDay(context.clock.now()),
      source: textOf(context, 'source') ?? '',
    })
    return { lines: [`A part costs $${rate.price} ${describeScope(rate)}.`], json: { rate: present(rate) } }
  },
}

const list: CliCommand = {
  name: 'rate list',
  summary: 'List the prices of a part, by account and carrier',
  async run(context) {
    const rates = await listRates(context.db)
    return {
      lines: table(
        ['ID', 'ACCOUNT', 'CHANNEL', 'CARRIER', 'PRICE', 'SINCE', 'SOURCE'],
        rates.map((rate) => [
          String(rate.id),
          String(rate.accountId ?? 'all'),
          rate.channel,
          nameOf(rate.carrier),
          rate.price,
          rate.since,
          rate.source,
        ]),
      ),
      json: { rates: rates.map(present) },
    }
  },
}

const remove: CliCommand = {
  name: 'rate remove',
  summary: 'Remove a rate that was set by mistake',
  names: ['<id>'],
  notes: ['For a new price, set another rate with its own first day. Bills of earlier messages do not change.'],
  async run(context) {
    const given = context.names[0] ?? ''
    const removed = /^\d{1,15}$/.test(given) ? await deleteRate(context.db, Number(given)) : 0
    if (removed === 0) throw new OperatorError(`There is no rate ${given}.`)
    return { lines: [`Removed rate ${given}.`], json: { id: Number(given) } }
  },
}

function readOption<T>(
  context: CommandContext,
  name: string,
  read: (text: string) => T | undefined,
  kind: string,
): T | undefined {
  const given = textOf(context, name)
  if (given === undefined) return undefined
  const value = read(given)
  if (value === undefined) throw new UsageError(`--${name} must be ${kind}, not ${given}`)
  return value
}

const channelOf = (text: string): Channel | undefined => (text === 'sms' || text === 'mms' ? text : undefined)

const nameOf = (carrier: number | null) => (carrier === null ? 'any' : `${carrierName(carrier) ?? '?'} (${carrier})`)

function describeScope(rate: Rate): string {
  const accounts = rate.accountId === null ? 'all accounts' : `account ${rate.accountId}`
  return `for ${accounts}, ${rate.channel}, carrier ${nameOf(rate.carrier)}, since ${rate.since}`
}

const present = (rate: Rate) => ({
  id: rate.id,
  account_id: rate.accountId,
  channel: rate.channel,
  carrier: rate.carrier,
  price: rate.price,
  since: rate.since,
  source: rate.source,
})

export const rateCommands: CliCommand[] = [set, list, remove]
