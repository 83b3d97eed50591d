/**
 * Settings of the embedded PostgreSQL. The first three are required for durability. max_wal_size and checkpoint_timeout
 * limit the redo after a kill to three seconds.
 */
export const postgresSettings: Readonly<Record<string, string>> = {
  fsync: 'on',
  full_page_writes: 'on',
  synchronous_commit: 'on',

  shared_buffers: '256MB',
  work_mem: '8MB',
  maintenance_work_mem: '64MB',
  // 91 of an api process with the largest CARILLON_ACCOUNT_CONCURRENCY, the pools of the other roles, and commands
  max_connections: '150',

  wal_level: 'minimal',
  max_wal_senders: '0',
  wal_compression: 'on', // pglz: the packaged binaries are built without lz4
  max_wal_size: '1GB',
  min_wal_size: '256MB',
  checkpoint_timeout: '60s',
  checkpoint_completion_target: '0.9',

  autovacuum_naptime: '15s',
  autovacuum_vacuum_cost_limit: '1000',
  autovacuum_vacuum_scale_factor: '0.1',
  autovacuum_analyze_scale_factor: '0.05',

  jit: 'off',
  track_io_timing: 'off',

  logging_collector: 'off', // stderr is our log file
  log_line_prefix: '%m [%p] ',
  log_checkpoints: 'off',
  // no values of rows in the log: without DETAIL, CONTEXT and STATEMENT, which quote them
  log_error_verbosity: 'terse',
  log_min_error_statement: 'panic',
  log_statement: 'none',
  log_min_duration_statement: '-1',
  log_parameter_max_length: '0',
  log_parameter_max_length_on_error: '0',
  timezone: 'UTC',
  log_timezone: 'UTC',
}

/**
 * Settings of the sessions of Carillon's database role. Errors of statements are not logged, because their messages quote
 * values; the process that sent the statement logs the error without them. Errors of PostgreSQL's own processes, such as
 * autovacuum, are logged.
 */
export const ownerSettings: Readonly<Record<string, string>> = { log_min_messages: 'log' }
