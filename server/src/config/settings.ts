import {
  accessKeyId,
  apiKey,
  baseUrl,
  bearerToken,
  bucketName,
  capList,
  cidrList,
  emailAddress,
  hostName,
  keyPrefix,
  oneOf,
  type Parser,
  plainText,
  postgresUrl,
  proxyList,
  rateLimit,
  regionName,
  secretKey,
  smppUrl,
  webAddress,
  wholeNumber,
} from './parsers.ts'

/** One environment variable; its default has the format in which operators write the value. */
export type Setting<T, D extends string | undefined = string | undefined> = {
  help: string
  parse: Parser<T>
  default: D
  /** Value that .env.example shows for a setting without a default. */
  example?: string
  /** Whether it is never printed, and may be read from the file of <NAME>_FILE. */
  secret?: boolean
  /** Whether production rejects it. */
  sandboxOnly?: boolean
}

function required<T>(fallback: string, setting: Omit<Setting<T>, 'default'>): Setting<T, string> {
  return { ...setting, default: fallback }
}

function optional<T>(setting: Omit<Setting<T>, 'default'>): Setting<T, undefined> {
  return { ...setting, default: undefined }
}

/** All settings, in the order of .env.example. */
export const settings = {
  CARILLON_MODE: required('sandbox', {
    help: 'sandbox sends to the built-in simulator only; production sends to real phones',
    parse: oneOf('sandbox', 'production'),
  }),
  CARILLON_HOST: required('127.0.0.1', {
    help: 'Address to listen on; 0.0.0.0 for all interfaces',
    parse: hostName,
  }),
  CARILLON_PORT: required('8080', {
    help: 'Port of the API and the console; 0 selects a free port',
    parse: wholeNumber(0, 65_535),
  }),
  CARILLON_PUBLIC_URL: optional({
    help: 'Base of every URL that Carillon publishes, without a path; default: http://<host>:<port>',
    parse: baseUrl,
    example: 'https://texts.example.org',
  }),
  CARILLON_LINK_URL: optional({
    help: 'Base of the short URLs of tracked links, without a path: a short domain of your own that leads to the API (docs/links.md). Default: CARILLON_PUBLIC_URL',
    parse: baseUrl,
    example: 'https://go.example.org',
  }),
  CARILLON_TRUSTED_PROXIES: required('', {
    help: 'Addresses and ranges of proxies whose X-Forwarded-For states the address of a client, separated by commas; loopback means this machine. From all others the header is ignored (docs/operations.md)',
    parse: proxyList,
    example: 'loopback,10.20.0.7',
  }),
  CARILLON_DATA_DIR: required('./data', {
    help: 'Directory of the embedded database, the logs and the keys; a relative path starts at the checkout',
    parse: plainText,
  }),
  DATABASE_URL: optional({
    help: 'Your own PostgreSQL (15 or newer), used instead of the embedded one',
    parse: postgresUrl,
    example: 'postgresql://carillon:password@127.0.0.1:5432/carillon',
    secret: true,
  }),
  CARILLON_SMPP_URL: optional({
    help: 'First SMPP connection; add more while Carillon runs (docs/operations.md). window: submit_sm per bind that await a response (10); mps: submit_sm per second over all binds (no cap); binds: number of binds (1)',
    parse: smppUrl,
    example: 'smpps://system_id:password@smsc.example.net:3550?window=10&mps=30&binds=1',
    secret: true,
  }),
  CARILLON_SECRET_KEY: optional({
    help: 'Key that encrypts the passwords of connections in the database: 32 bytes as 64 hex digits or in base64; default: npm start generates one in <data>/secret.key',
    parse: secretKey,
    example: 'what-openssl-rand-hex-32-prints',
    secret: true,
  }),
  CARILLON_RATE_LIMIT: required('default', {
    help: 'Requests per API key: vendor (1,200 per hour), default (50 per second; no limit for the sandbox key) or off',
    parse: oneOf('vendor', 'default', 'off'),
  }),
  CARILLON_ACCOUNT_RATE_LIMIT: required('200/1', {
    help: 'Requests of all keys of an account together, as calls/seconds, or off; not applied if CARILLON_RATE_LIMIT is off. account limit sets it for one account',
    parse: rateLimit,
  }),
  CARILLON_ACCOUNT_CONCURRENCY: required('5', {
    help: 'Requests of one account that an api process handles at a time; others wait up to ten seconds. The process opens up to four times as many database connections (at least 10), and eleven others',
    parse: wholeNumber(1, 20),
  }),
  CARILLON_UPLOAD_PLACES: required('16', {
    help: 'Uploads that an api process receives at a time; others wait up to ten seconds, and then get a 503 (docs/security.md)',
    parse: wholeNumber(2, 1_000),
  }),
  CARILLON_UPLOAD_PLACES_PER_ACCOUNT: required('4', {
    help: 'Uploads of one account among these',
    parse: wholeNumber(1, 1_000),
  }),
  CARILLON_EVENT_DAYS: required('30', {
    help: 'Days for which events, attempts to deliver them, and undelivered events of disabled webhooks are kept',
    parse: wholeNumber(1, 3_650),
  }),
  CARILLON_FILES_DIR: optional({
    help: 'Directory of the files of reports; api and worker processes on several machines need the same one. Default: files in the data directory',
    parse: plainText,
    example: '/srv/carillon/files',
  }),
  CARILLON_S3_ENDPOINT: optional({
    help: 'S3-compatible store for the files of reports, used instead of the directory if a bucket is set (docs/operations.md)',
    parse: baseUrl,
    example: 'https://s3.eu-central-1.amazonaws.com',
  }),
  CARILLON_S3_BUCKET: optional({
    help: 'Bucket for the files of reports; api and worker processes need the same settings',
    parse: bucketName,
    example: 'carillon-files',
  }),
  CARILLON_S3_REGION: required('us-east-1', {
    help: 'Region of the bucket; auto for Cloudflare R2 and Google',
    parse: regionName,
  }),
  CARILLON_S3_PREFIX: required('', {
    help: 'What the keys of all objects in the bucket begin with',
    parse: keyPrefix,
    example: 'carillon/',
  }),
  CARILLON_S3_STYLE: required('path', {
    help: 'Whether URLs have the name of the bucket in the path or in the host name',
    parse: oneOf('path', 'virtual-host'),
  }),
  CARILLON_S3_KEY_ID: optional({
    help: 'Id of the access key for the bucket',
    parse: accessKeyId,
    example: 'AKIAIOSFODNN7EXAMPLE',
  }),
  CARILLON_S3_SECRET: optional({
    help: 'Secret of the access key for the bucket',
    parse: bearerToken,
    example: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
    secret: true,
  }),
  CARILLON_S3_PART_MB: required('8', {
    help: 'Size of the parts in which a file is uploaded, in MB; a file has at most 10,000 parts. A worker has one part of each report in memory',
    parse: wholeNumber(6, 500),
  }),
  CARILLON_REPORT_DAYS: required('30', {
    help: 'Days for which the files of reports are kept',
    parse: wholeNumber(1, 3_650),
  }),
  CARILLON_CLICK_DAYS: required('365', {
    help: 'Days for which single clicks are kept; the counts by link and by recipient are kept as long as their message',
    parse: wholeNumber(1, 3_650),
  }),
  CARILLON_MESSAGE_LOG_DAYS: required('0', {
    help: 'Days for which the message log is kept in the database; older days are archived in the file store and removed when all their messages are closed (docs/retention.md). 0 keeps all days',
    parse: wholeNumber(0, 36_500),
  }),
  CARILLON_UPLOAD_DISK_MB: required('16384', {
    help: 'Space for the rows of unfinished uploads in <data>/uploads, and for rows that are not applied yet in the database, in megabytes; one account gets at most half',
    parse: wholeNumber(16, 10_000_000),
  }),
  CARILLON_MAX_SOCKETS: required('10000', {
    help: 'TCP connections of an api process, of which clients without a valid key have at most half; above that, the longest unused of the address or account that has the most is closed (docs/security.md)',
    parse: wholeNumber(100, 100_000),
  }),
  CARILLON_BUFFER_MB: required('64', {
    help: 'Memory of an api process for request bodies and for large responses that were not read yet, in megabytes; one account gets at most half (docs/security.md)',
    parse: wholeNumber(4, 10_000),
  }),
  CARILLON_CAPS: required('', {
    help: 'Maximum numbers of things of an account or a list that differ from the defaults, as name=number, separated by commas (docs/security.md)',
    parse: capList,
    example: 'lists=20000,api_keys=500',
  }),
  CARILLON_ALLOW_PRIVATE_URLS: required('', {
    help: 'Private address ranges that webhooks and the look-up may call, separated by commas',
    parse: cidrList,
    example: '10.20.0.0/16,fd00::/8',
  }),
  CARILLON_EXTRA_CA_FILE: optional({
    help: 'PEM file with certificates of authorities that webhooks and the look-up trust in addition to the public ones; a change has an effect after a restart',
    parse: plainText,
    example: '/etc/carillon/internal-ca.pem',
  }),
  CARILLON_LOOKUP_URL: optional({
    help: 'URL of the number service that returns phone type and carrier (docs/look-up.md); without it, numbers are accepted without a look-up',
    parse: webAddress,
    example: 'https://lookup.example.net/v1/numbers',
  }),
  CARILLON_LOOKUP_TOKEN: optional({
    help: 'Bearer token for the look-up service',
    parse: bearerToken,
    example: 'token-of-that-service',
    secret: true,
  }),
  CARILLON_LOOKUP_TIMEOUT_MS: required('2000', {
    help: 'Time limit of a look-up, in milliseconds; afterwards the number is accepted without a look-up',
    parse: wholeNumber(100, 10_000),
  }),
  CARILLON_LOOKUP_CACHE_DAYS: required('30', {
    help: 'Number of days for which a look-up result is reused',
    parse: wholeNumber(0, 3_650),
  }),
  CARILLON_METRICS_TOKEN: optional({
    help: 'Bearer token that Prometheus sends to /metrics; without it, /metrics responds only to requests from this machine in sandbox mode, and to none in production',
    parse: bearerToken,
    example: 'token-that-prometheus-sends',
    secret: true,
  }),
  CARILLON_LOG_LEVEL: required('info', {
    help: 'Lowest level that the roles log',
    parse: oneOf('fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'),
  }),
  CARILLON_LOG_FILE_MB: required('20', {
    help: 'Maximum size of a log file, in MB; then the next one begins. The four before it are kept (docs/logging.md)',
    parse: wholeNumber(1, 10_000),
  }),
  CARILLON_LOG_FILE: optional({
    help: 'Log file of a role that runs without npm start, one for each role; default: standard output',
    parse: plainText,
    example: '/var/log/carillon/api.log',
  }),
  CARILLON_LEASE_MS: required('5000', {
    help: 'Lease of a gateway on a chunk, in milliseconds; the gateway renews it while it works',
    parse: wholeNumber(2_000, 60_000),
  }),
  CARILLON_RESPONSE_DEADLINE_MS: required('10000', {
    help: 'Time limit for a submit_sm_resp, in milliseconds; afterwards the state of the text is unknown',
    parse: wholeNumber(100, 300_000),
  }),
  CARILLON_RECEIPT_DEADLINE_S: required('259200', {
    help: 'Time limit for a receipt, in seconds (default 72 hours); afterwards the text is closed',
    parse: wholeNumber(1, 2_592_000),
  }),
  CARILLON_SANDBOX_EMAIL: required('sandbox@example.org', {
    help: 'Login email of the sandbox account',
    parse: emailAddress,
    sandboxOnly: true,
  }),
  CARILLON_SANDBOX_API_KEY: optional({
    help: 'Fixed API key of the sandbox account; default: one is generated in the data directory',
    parse: apiKey,
    example: 'any-16-characters-or-more',
    secret: true,
    sandboxOnly: true,
  }),
  CARILLON_SIMULATOR_LATENCY_MS: required('20', {
    help: 'Simulator: delay of a submit_sm_resp, in milliseconds',
    parse: wholeNumber(0, 600_000),
    sandboxOnly: true,
  }),
  CARILLON_SIMULATOR_RECEIPT_DELAY_MS: required('200', {
    help: 'Simulator: delay of a receipt, in milliseconds',
    parse: wholeNumber(0, 86_400_000),
    sandboxOnly: true,
  }),
  CARILLON_SIMULATOR_SMPP_PORT: required('0', {
    help: 'Simulator: SMPP port on loopback; 0 selects a free port',
    parse: wholeNumber(0, 65_535),
    sandboxOnly: true,
  }),
  CARILLON_SIMULATOR_TLS_PORT: required('0', {
    help: 'Simulator: SMPP port for TLS on loopback, used when a certificate is set; 0 selects a free port',
    parse: wholeNumber(0, 65_535),
    sandboxOnly: true,
  }),
  CARILLON_SIMULATOR_TLS_FILE: optional({
    help: 'Simulator: PEM file with a certificate and its key; without it the simulator offers no TLS',
    parse: plainText,
    example: './data/simulator/tls.pem',
    sandboxOnly: true,
  }),
  CARILLON_SIMULATOR_PORT: required('0', {
    help: 'Simulator: port of its control API on loopback; 0 selects a free port',
    parse: wholeNumber(0, 65_535),
    sandboxOnly: true,
  }),
  CARILLON_SIMULATOR_URL: optional({
    help: 'Simulator: base URL of its control API, for an api role that runs separately; npm start sets it',
    parse: baseUrl,
    example: 'http://127.0.0.1:9090',
    sandboxOnly: true,
  }),
  CARILLON_SIMULATOR_RAW_FILE: optional({
    help: 'Simulator: file that records every accepted submit_sm; default: <data>/simulator/submits.raw',
    parse: plainText,
    example: './data/simulator/submits.raw',
    sandboxOnly: true,
  }),
  CARILLON_SIMULATOR_RAW_FILE_MB: required('500', {
    help: 'Simulator: size of that file, in MB, from which the next one begins once no receipt is owed; one older file is kept',
    parse: wholeNumber(1, 100_000),
    sandboxOnly: true,
  }),
} satisfies Record<string, Setting<unknown>>

export type SettingName = keyof typeof settings

/** The type of a setting's value, which may be undefined only without a default. */
export type SettingValue<N extends SettingName> =
  (typeof settings)[N] extends Setting<infer T, infer D> ? (D extends string ? T : T | undefined) : never
