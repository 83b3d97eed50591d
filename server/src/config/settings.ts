import {
  apiKey,
  baseUrl,
  bearerToken,
  cidrList,
  emailAddress,
  hostName,
  oneOf,
  type Parser,
  plainText,
  postgresUrl,
  secretKey,
  smppUrl,
  webAddress,
  wholeNumber,
} from './parsers.ts'

/** One variable of the environment. A default is given as text, just as an operator would write it. */
export type Setting<T, D extends string | undefined = string | undefined> = {
  help: string
  parse: Parser<T>
  default: D
  /** What .env.example shows where there is no default. */
  example?: string
  /** Never printed; may come from a file named by <NAME>_FILE. */
  secret?: boolean
  /** Refused in production. */
  sandboxOnly?: boolean
}

function required<T>(fallback: string, setting: Omit<Setting<T>, 'default'>): Setting<T, string> {
  return { ...setting, default: fallback }
}

function optional<T>(setting: Omit<Setting<T>, 'default'>): Setting<T, undefined> {
  return { ...setting, default: undefined }
}

/** Every setting there is, in the order of .env.example. */
export const settings = {
  CARILLON_MODE: required('sandbox', {
    help: 'Sandbox texts the built-in simulator only; production texts people',
    parse: oneOf('sandbox', 'production'),
  }),
  CARILLON_HOST: required('127.0.0.1', {
    help: 'Address to listen on; 0.0.0.0 for all',
    parse: hostName,
  }),
  CARILLON_PORT: required('8080', {
    help: 'Port of the API and the console; 0 takes any free one',
    parse: wholeNumber(0, 65_535),
  }),
  CARILLON_PUBLIC_URL: optional({
    help: 'Base of every address that is handed out; http://<host>:<port> without it',
    parse: baseUrl,
    example: 'https://texts.example.org',
  }),
  CARILLON_DATA_DIR: required('./data', {
    help: 'Where the embedded database, logs and keys are kept; a relative path starts at the checkout',
    parse: plainText,
  }),
  DATABASE_URL: optional({
    help: 'An own PostgreSQL 15 or newer instead of the embedded one',
    parse: postgresUrl,
    example: 'postgresql://carillon:password@127.0.0.1:5432/carillon',
    secret: true,
  }),
  CARILLON_SMPP_URL: optional({
    help: 'An SMPP account to send through; more are added while it runs (docs/operations.md). window: submits under way per bind (10), mps: parts a second (no cap), binds (1)',
    parse: smppUrl,
    example: 'smpps://system_id:password@smsc.example.net:3550?window=10&mps=30&binds=1',
    secret: true,
  }),
  CARILLON_SECRET_KEY: optional({
    help: 'Seals the passwords of connections in the database: 32 bytes as 64 hex digits or in base64; without it npm start makes one and keeps it in <data>/secret.key',
    parse: secretKey,
    example: 'what-openssl-rand-hex-32-prints',
    secret: true,
  }),
  CARILLON_RATE_LIMIT: required('default', {
    help: 'Requests per API key: vendor (1,200 an hour), default (50 a second, none for the sandbox key) or off',
    parse: oneOf('vendor', 'default', 'off'),
  }),
  CARILLON_ALLOW_PRIVATE_URLS: required('', {
    help: 'Private address ranges that webhooks and the look-up may call, separated by commas',
    parse: cidrList,
    example: '10.20.0.0/16,fd00::/8',
  }),
  CARILLON_LOOKUP_URL: optional({
    help: 'Service to ask whether a number is a landline and whose it is (docs/look-up.md); without it numbers are taken unseen',
    parse: webAddress,
    example: 'https://lookup.example.net/v1/numbers',
  }),
  CARILLON_LOOKUP_TOKEN: optional({
    help: 'What the look-up service knows us by; sent as a bearer token',
    parse: bearerToken,
    example: 'token-of-that-service',
    secret: true,
  }),
  CARILLON_LOOKUP_TIMEOUT_MS: required('2000', {
    help: 'How long a look-up may take before the number is taken unseen',
    parse: wholeNumber(100, 10_000),
  }),
  CARILLON_LOOKUP_CACHE_DAYS: required('30', {
    help: 'How long an answer of the look-up is good for',
    parse: wholeNumber(0, 3_650),
  }),
  CARILLON_METRICS_TOKEN: optional({
    help: 'What Prometheus has to show at /metrics, as a bearer token; without it the sandbox answers this machine only, and production nobody',
    parse: bearerToken,
    example: 'a-word-that-prometheus-knows',
    secret: true,
  }),
  CARILLON_LOG_LEVEL: required('info', {
    help: 'How much the roles log',
    parse: oneOf('fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'),
  }),
  CARILLON_LEASE_MS: required('5000', {
    help: 'How long a gateway owns a chunk of work without renewing it',
    parse: wholeNumber(2_000, 60_000),
  }),
  CARILLON_RESPONSE_DEADLINE_MS: required('10000', {
    help: 'How long the answer to a submit_sm is waited for before the row is unknown',
    parse: wholeNumber(100, 300_000),
  }),
  CARILLON_RECEIPT_DEADLINE_S: required('259200', {
    help: 'How long a receipt is waited for before the row is closed (72 hours)',
    parse: wholeNumber(1, 2_592_000),
  }),
  CARILLON_SANDBOX_EMAIL: required('sandbox@example.org', {
    help: 'Login of the sandbox account',
    parse: emailAddress,
    sandboxOnly: true,
  }),
  CARILLON_SANDBOX_API_KEY: optional({
    help: 'A fixed API key for the sandbox account; without it one is made and kept in the data directory',
    parse: apiKey,
    example: 'any-16-characters-or-more',
    secret: true,
    sandboxOnly: true,
  }),
  CARILLON_SIMULATOR_LATENCY_MS: required('20', {
    help: 'Simulator: time before it answers a submit_sm',
    parse: wholeNumber(0, 600_000),
    sandboxOnly: true,
  }),
  CARILLON_SIMULATOR_RECEIPT_DELAY_MS: required('200', {
    help: 'Simulator: time before it sends the receipt',
    parse: wholeNumber(0, 86_400_000),
    sandboxOnly: true,
  }),
  CARILLON_SIMULATOR_SMPP_PORT: required('0', {
    help: 'Simulator: SMPP port on loopback; 0 takes any free one',
    parse: wholeNumber(0, 65_535),
    sandboxOnly: true,
  }),
  CARILLON_SIMULATOR_TLS_PORT: required('0', {
    help: 'Simulator: SMPP port for TLS on loopback, once there is a certificate; 0 takes any free one',
    parse: wholeNumber(0, 65_535),
    sandboxOnly: true,
  }),
  CARILLON_SIMULATOR_TLS_FILE: optional({
    help: 'Simulator: PEM file with a certificate and its key; without it the simulator speaks no TLS',
    parse: plainText,
    example: './data/simulator/tls.pem',
    sandboxOnly: true,
  }),
  CARILLON_SIMULATOR_PORT: required('0', {
    help: 'Simulator: port of its control API on loopback; 0 takes any free one',
    parse: wholeNumber(0, 65_535),
    sandboxOnly: true,
  }),
  CARILLON_SIMULATOR_URL: optional({
    help: 'Simulator: base of its control API for a separately started api role; npm start sets it',
    parse: baseUrl,
    example: 'http://127.0.0.1:9090',
    sandboxOnly: true,
  }),
  CARILLON_SIMULATOR_RAW_FILE: optional({
    help: 'Simulator: file of every submit_sm it took; <data>/simulator/submits.raw without it',
    parse: plainText,
    example: './data/simulator/submits.raw',
    sandboxOnly: true,
  }),
} satisfies Record<string, Setting<unknown>>

export type SettingName = keyof typeof settings

/** What reading a setting yields: undefined only where it has no default. */
export type SettingValue<N extends SettingName> =
  (typeof settings)[N] extends Setting<infer T, infer D> ? (D extends string ? T : T | undefined) : never
